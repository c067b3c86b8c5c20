"""Qwen2.5-VL and Qwen3-VL through transformers, with no need of torchvision.

    <|im_start|>user\\n (<|vision_start|><|image_pad|>*n<|vision_end|>)* text <|im_end|> ...

is what their own processor makes of a conversation with pictures: n is the number of
patches of a picture over the square of `merge_size`.
"""

import dataclasses
import hashlib
import inspect
import json
from typing import Any

import numpy as np
import torch
import transformers
from jaxtyping import UInt8
from PIL import Image

from animatrix_jax.errors import UserError

_PAD = "<|image_pad|>"
_ANSWER_TOKENS = 1536


@dataclasses.dataclass(frozen=True, kw_only=True)
class QwenChat:
    """A loaded model.

    Attributes:
      max_pixels: pictures are shrunk to this many.
      max_tokens: of an answer.
    """

    model: Any
    tokenizer: Any
    processor: Any
    digest: str
    max_pixels: int = 448 * 448
    max_tokens: int = _ANSWER_TOKENS

    @classmethod
    def load(cls, name: str) -> "QwenChat":
        """Loads a folder, or a model of the Hub.

        Raises:
          UserError: if there is none, or it is of another kind.
        """
        try:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            model = transformers.AutoModelForImageTextToText.from_pretrained(
                name, torch_dtype="auto"
            ).to(device)
            tokenizer = transformers.AutoTokenizer.from_pretrained(name)
            processor = transformers.AutoImageProcessor.from_pretrained(name)
        except (OSError, ValueError) as error:
            line = str(error).strip().splitlines()[0]
            raise UserError(f"cannot load vlm:{name}: {line}") from error
        if _PAD not in tokenizer.get_vocab():
            raise UserError(f"vlm:{name} is no Qwen-VL: its tokenizer has no {_PAD}")
        return cls(
            model=model.eval(),
            tokenizer=tokenizer,
            processor=processor,
            digest=_digest(name, model),
        )

    def answer(self, images: list[UInt8[np.ndarray, "_ _ 3"]], turns: list[str]) -> str:
        """The likeliest reply; see `vlm.Chat`."""
        pictures = [self._shrunk(Image.fromarray(image)) for image in images]
        seen = self.processor(images=pictures, return_tensors="pt")
        each = seen["image_grid_thw"].prod(dim=1) // self.processor.merge_size**2
        shown = "".join(f"<|vision_start|>{_PAD * int(n)}<|vision_end|>" for n in each)
        text = ""
        for i, turn in enumerate(turns):
            role, before = ("assistant", "") if i % 2 else ("user", "" if i else shown)
            text += f"<|im_start|>{role}\n{before}{turn}<|im_end|>\n"
        text += "<|im_start|>assistant\n"
        device = self.model.device
        tokens = self.tokenizer(text, return_tensors="pt")["input_ids"]
        inputs = {
            "input_ids": tokens,
            "attention_mask": torch.ones_like(tokens),
            "pixel_values": seen["pixel_values"].to(self.model.dtype),
            "image_grid_thw": seen["image_grid_thw"],
        }
        if "mm_token_type_ids" in inspect.signature(self.model.forward).parameters:
            pad = self.tokenizer.convert_tokens_to_ids(_PAD)
            inputs["mm_token_type_ids"] = (tokens == pad).int()
        with torch.inference_mode():
            written = self.model.generate(
                **{name: value.to(device) for name, value in inputs.items()},
                do_sample=False,
                max_new_tokens=self.max_tokens,
                pad_token_id=self.tokenizer.pad_token_id or 0,
            )
        new = written[0, tokens.shape[1] :]
        return self.tokenizer.decode(new, skip_special_tokens=True)

    def _shrunk(self, image: Image.Image) -> Image.Image:
        scale = (self.max_pixels / (image.width * image.height)) ** 0.5
        if scale >= 1:
            return image
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        return image.resize(size, Image.Resampling.BICUBIC)


def _digest(name: str, model: Any) -> str:
    """Of the name, the config and a few weights of every matrix."""
    digest = hashlib.sha256(name.encode())
    config = model.config.to_dict()
    digest.update(json.dumps(config, sort_keys=True, default=str).encode())
    for key, value in sorted(model.state_dict().items()):
        some = value.detach().flatten()[:8].float().cpu().numpy()
        digest.update(key.encode() + some.tobytes())
    return digest.hexdigest()
