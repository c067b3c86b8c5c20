"""A plan in words, for the terminal."""

from typing import Any

_ITEMS = (
    *("parameters", "ema", "optimizer", "gradients", "frozen", "batch"),
    *("activations", "padding", "code"),
)


def text(result: dict[str, Any]) -> str:
    """The lines that `animatrix plan` prints."""
    mesh = " x ".join(f"{k} {v}" for k, v in result["mesh"].items())
    verdict = "fits" if result["fits"] else "DOES NOT FIT"
    lines = [
        (
            f"{result['preset']} {result['verb']} on {result['target']} "
            f"({result['chips']} chips: {mesh}), batch {result['batch']} x "
            f"{result['tokens']:,} tokens"
        ),
        (
            f"memory     {result['peak_gib']:.2f} of {result['hbm_gib']:.2f} GiB a chip: "
            f"{verdict}"
        ),
    ]
    held = result["memory_gib"]
    lines += [f"  {name:<12}{held[name]:9.3f}" for name in _ITEMS if held.get(name)]
    lines.append(
        f"work       {result['tflops_per_step']:,.1f} TFLOPs a step, and "
        f"{result['recomputed_tflops']:,.1f} recomputed"
    )
    if result["step_seconds"] is not None:
        lines += _speed(result)
    else:
        lines.append("step       not known: the compiler ran out of the chip's memory")
    if "largest_batch_unknown" in result:
        lines.append(f"largest    not known: {result['largest_batch_unknown']}")
    if "largest_batch" in result:
        how = "compiled" if result["largest_batch_verified"] else "by the model"
        lines.append(f"largest    batch {result['largest_batch']} fits ({how})")
    for change in result.get("advice", ()):
        lines.append(
            f"try        {change['flag']}: {change['change']}, "
            f"about {change['saves_gib']:.1f} GiB less"
        )
    for name in result["unknown_loops"]:
        lines.append(f"note       loop {name} has no known trip count: counted once")
    cached = ", kept from before" if result["cached"] else ""
    lines.append(f"compiled   in {result['compile_seconds']:.0f} s{cached}")
    return "\n".join(lines)


def _speed(result: dict[str, Any]) -> list[str]:
    parts = result["seconds"]
    bytes_of = result["collective_gb"]
    kinds = ", ".join(f"{k} {v:.2f}" for k, v in bytes_of.items() if k != "all")
    lines = [
        (
            f"step       {result['step_seconds']:.3f} s predicted, "
            f"{result['tokens_per_second']:,.0f} tokens/s, MFU {result['mfu']:.1%}, "
            f"bound by {result['bound']}"
        ),
        f"  compute   {parts['compute']:9.3f} s",
        (
            f"  attention {parts['attention']:9.3f} s at "
            f"{result['attention_efficiency']:.0%} of peak, assumed"
        ),
        (
            f"  waiting   {parts['exposed']:9.3f} s of {parts['collective']:.3f} s of "
            "collectives"
        ),
        f"traffic    {result['memory_gb']:,.1f} GB of memory, "
        f"{bytes_of['all']:.2f} GB of collectives a chip"
        + (f" ({kinds})" if kinds else ""),
    ]
    table = result["by_attention_efficiency"] or {}
    if table:
        shown = ", ".join(f"{k}: {v['mfu']:.1%}" for k, v in table.items())
        lines.append(f"MFU by attention efficiency  {shown}")
    return lines
