"""Tiny random models of Qwen's two families, made from their configs; no download."""

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil,
)

from animatrix_jax.caption.labeller import load_labeller
from animatrix_jax.caption.vlm_chat import QwenChat
from animatrix_jax.errors import UserError

SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>"),
    *("<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),
)


def make_tokenizer(folder):
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    model = tokenizers.models.BPE({c: i for i, c in enumerate(alphabet)}, [])
    base = tokenizers.Tokenizer(model)
    base.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    base.decoder = tokenizers.decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=base, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_model(family, folder):
    tokenizer = make_tokenizer(folder)
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    patch = 14 if family == "Qwen2_5_VL" else 16
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e4,
            "mrope_section": [1, 1, 2],
        },
        "eos_token_id": ids["<|im_end|>"],
        "bos_token_id": None,
    }
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "out_hidden_size": 32,
        "patch_size": patch,
    }
    if family == "Qwen2_5_VL":
        vision |= {"fullatt_block_indexes": [1], "window_size": 56}
    else:
        vision |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 16}
    config = getattr(transformers, f"{family}Config")(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForConditionalGeneration")(config)
    model.save_pretrained(folder)
    Qwen2VLImageProcessorPil(
        patch_size=patch, min_pixels=patch**2 * 4, max_pixels=patch**2 * 64
    ).save_pretrained(folder)


@pytest.fixture(scope="module", params=["Qwen2_5_VL", "Qwen3VL"])
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    make_model(request.param, folder)
    return folder


def test_a_random_model_is_all_unknown(folder, monkeypatch):
    monkeypatch.setattr(QwenChat, "__init__", _short(QwenChat.__init__), raising=True)
    labeller = load_labeller(f"vlm:{folder}")
    video = np.random.default_rng(0).integers(0, 256, (9, 40, 64, 3), dtype=np.uint8)
    caption = labeller.label(video, 12.0)
    assert caption.tags == ()
    assert labeller.digest == load_labeller(f"vlm:{folder}").digest


def test_it_sees_the_pictures(folder):
    chat = QwenChat.load(str(folder))
    seen = []
    generate = chat.model.generate

    def record(**inputs):
        seen.append(inputs)
        return generate(**{**inputs, "max_new_tokens": 2})

    chat.model.generate = record
    images = [np.zeros((40, 64, 3), np.uint8), np.full((64, 40, 3), 9, np.uint8)]
    chat.answer(images, ["What is it?", "{}", "Again."])
    inputs = seen[0]
    pads = (inputs["input_ids"] == chat.model.config.image_token_id).sum()
    assert int(pads) == int(inputs["image_grid_thw"].prod(dim=1).sum()) // 4
    text = chat.tokenizer.decode(inputs["input_ids"][0])
    assert text.count("<|vision_start|>") == 2
    assert text.count("<|im_start|>user") == 2
    assert text.endswith("<|im_start|>assistant\n")


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot load vlm:"):
        load_labeller(f"vlm:{tmp_path}")


def _short(init):
    """Answers of a few tokens: a random model never ends its own."""

    def limited(self, **fields):
        init(self, **{**fields, "max_tokens": 4})

    return limited
