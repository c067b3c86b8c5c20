"""Prompts to padded ids, equal to WanPipeline's own, from either kind of file."""

import io
import json
import types

import numpy as np
import pytest
import sentencepiece
import tokenizers
import torch
from diffusers.pipelines.wan.pipeline_wan import WanPipeline, prompt_clean
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from animatrix_jax.data.tokenizer import Tokenizer, clean_text, find_tokenizer
from animatrix_jax.errors import UserError

CORPUS = [
    "a girl runs at dusk under falling petals, then she turns to the camera",
    "the boy with a sword jumps over the rooftops at night in the rain",
    "夜の少女が走る。桜の花びらが舞う。",
    "一个女孩在雨中奔跑,霓虹灯闪烁。",
    "smiles 🎬🌸 and waves",
] * 20
PROMPTS = [
    "A girl runs, slowly & surely; the camera pans left.",
    "夜の少女が走る。　桜の花びらが舞う……「待って！」",
    "ｶﾀｶﾅ と ＦＵＬＬ width",
    "一个女孩在雨中奔跑，霓虹灯闪烁。",
    "🎬 a girl 👩‍🎤 dances 🌸🔥",
    "",
    "   \t\n ",
    "schÃ¶n &amp;amp; &lt;b&gt;bold&lt;/b&gt; “quoted” ﬁne",
    "line one\r\nline\u3000two\u00a0 three\u2003four\u200b",
    "a girl runs </s> at dusk <pad>",
    "a girl runs under falling petals " * 20,
]
LENGTH = 24


@pytest.fixture(scope="module")
def spiece(tmp_path_factory):
    """A folder as T5's first releases have it: one SentencePiece model."""
    folder = tmp_path_factory.mktemp("spiece")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=model,
        vocab_size=400,
        hard_vocab_limit=False,
        model_type="unigram",
        normalization_rule_name="nmt_nfkc",
        character_coverage=1.0,
        byte_fallback=True,
        num_threads=1,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(model.getvalue())
    config = {"tokenizer_class": "T5Tokenizer", "extra_ids": 8}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def saved(spiece, tmp_path_factory):
    """The same as transformers saves it, in a diffusers folder."""
    folder = tmp_path_factory.mktemp("diffusers")
    AutoTokenizer.from_pretrained(spiece).save_pretrained(folder / "tokenizer")
    return folder


@pytest.fixture(scope="module")
def older(saved, tmp_path_factory):
    """The tokenizer.json of transformers 4, which cuts and strips in other steps."""
    folder = tmp_path_factory.mktemp("older")
    definition = json.loads((saved / "tokenizer/tokenizer.json").read_text())
    blanks = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}
    strip = {"type": "Strip", "strip_left": False, "strip_right": True}
    definition["normalizer"] = {
        "type": "Sequence",
        "normalizers": [definition["normalizer"], strip, blanks],
    }
    definition["pre_tokenizer"] = definition["pre_tokenizer"]["pretokenizers"][1]
    (folder / "tokenizer.json").write_text(json.dumps(definition))
    config = (saved / "tokenizer/tokenizer_config.json").read_text()
    (folder / "tokenizer_config.json").write_text(config)
    return folder


@pytest.fixture(params=["spiece", "saved", "older"])
def folder(request):
    return request.getfixturevalue(request.param)


def reference(folder) -> WanPipeline:
    """WanPipeline with a text tower that gives one-hot vectors of 1 and 2."""

    class OneHot(torch.nn.Module):
        dtype, device = torch.float32, torch.device("cpu")

        def forward(self, ids, mask):
            hot = torch.nn.functional.one_hot(ids, 500).float() + 1
            return types.SimpleNamespace(last_hidden_state=hot)

    place = find_tokenizer(folder).parent
    return WanPipeline(
        tokenizer=AutoTokenizer.from_pretrained(place),
        text_encoder=OneHot(),
        vae=None,
        scheduler=None,
    )


def test_ids_mask_and_padding_equal_those_of_wan(folder):
    pipeline = reference(folder)
    expected = pipeline._get_t5_prompt_embeds(
        PROMPTS, max_sequence_length=LENGTH, device="cpu", dtype=torch.float32
    ).numpy()
    ours = Tokenizer.from_file(find_tokenizer(folder)).encode(PROMPTS, LENGTH)
    vectors = (np.eye(500, dtype=np.float32)[ours.tokens] + 1) * ours.mask[..., None]
    np.testing.assert_array_equal(vectors, expected)
    theirs = pipeline.tokenizer(
        [prompt_clean(prompt) for prompt in PROMPTS],
        padding="max_length",
        max_length=LENGTH,
        truncation=True,
    )
    np.testing.assert_array_equal(ours.tokens, theirs["input_ids"])
    np.testing.assert_array_equal(ours.mask, theirs["attention_mask"])
    assert ours.mask.sum(1).tolist()[5:7] == [1, 1]
    assert ours.mask[-1].all()


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40) | st.text("&amp;lt#39 \u3000“é", max_size=20))
def test_any_text_is_cleaned_as_wan_does(text):
    assert clean_text(text) == prompt_clean(text)


def test_a_tokenizer_is_saved_as_one_file(spiece, tmp_path):
    tokenizer = Tokenizer.from_file(spiece / "spiece.model")
    tokenizer.save(tmp_path / "tokenizer.json")
    again = Tokenizer.from_file(find_tokenizer(tmp_path)).encode(PROMPTS, LENGTH)
    ours = tokenizer.encode(PROMPTS, LENGTH)
    np.testing.assert_array_equal(again.tokens, ours.tokens)
    assert find_tokenizer(tmp_path / "nowhere") is None


def test_what_is_no_t5_tokenizer_is_refused(tmp_path):
    (tmp_path / "spiece.model").write_bytes(b"\x0a\xff not a model")
    with pytest.raises(UserError, match="is not a SentencePiece model") as caught:
        Tokenizer.from_file(find_tokenizer(tmp_path))
    assert "\n" not in str(caught.value)
    pieces = [("</s>", 0.0), ("<pad>", 0.0), ("<unk>", 0.0), ("▁a", -1.0)]
    model = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=2))
    model.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(UserError, match="no <pad> of id 0"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")
