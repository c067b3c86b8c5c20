"""What a shot, a ground or a move shows of a clip's other tags.

`tagging` draws no value of which nothing would be seen, and states no field that nobody
could tell: the speed of a camera that goes with its subject, depth where no plane slides.
"""

from animatrix_jax.cels.odds import Table
from animatrix_jax.cels.rarities import WEIGHTS

Values = dict[str, tuple[str, ...]]

# Moves whose speed is the camera's own, and moves that slide planes over each other.
_EITHER = ("pan_left", "pan_right", "pan_up", "pan_down", "truck_up", "truck_back")
SEEN_IN = {
    "camera.camera_speed": (*_EITHER, "roll", "orbit", "dolly_zoom", "shake"),
    "camera.depth": (*_EITHER, "follow", "follow_pan"),
}
# Grounds of which no plane can be told from another; and what shows nothing beside it.
FLAT = ("white", "flat_abstract")
BLANK = {
    "camera.camera_motion=dolly_zoom": ("style.background", "white"),
    "camera.camera_motion=orbit": ("motion.motion_style", "still"),
}
# Shots that do not hold what a value shows, and angles that a shot does not hold.
UNFRAMED: dict[str, tuple[str, ...]] = {
    "forced_perspective": ("extreme_close_up", "close_up", "extreme_long"),
    "multiples": ("extreme_close_up",),
    "off_model_exaggeration": ("long", "extreme_long"),
    "ranged": ("extreme_close_up", "close_up", "extreme_long"),
    "sport": ("extreme_close_up", "close_up", "bust", "extreme_long"),
    "transformation": ("extreme_close_up", "close_up", "extreme_long"),
    "waver_lines": ("extreme_close_up",),
    "sweat_drop": ("extreme_close_up",),
    "sparkle": ("extreme_close_up",),
    "flowers": ("extreme_close_up",),
    "aura": ("extreme_close_up", "close_up"),
    "magic_circle": ("extreme_close_up", "close_up"),
    "transformation_glow": ("extreme_close_up",),
    "extreme_close_up": ("worms_eye", "over_shoulder", "pov"),
    "close_up": ("worms_eye",),
    "long": ("over_shoulder", "pov"),
    "extreme_long": ("over_shoulder", "pov"),
}


def unseen(field: str, values: Values) -> str:
    """Where a field of SEEN_IN cannot be seen beside other values; empty where it can."""
    moves = values["camera.camera_motion"]
    if not set(SEEN_IN[field]) & set(moves):
        return f"in camera.camera_motion={' and '.join(moves)}"
    ground = values["style.background"][0]
    if field == "camera.depth" and ground in FLAT:
        return f"before style.background={ground}"
    return ""


def unframed(field: str, values: Values) -> Table:
    """Bars the values of ``field`` that the shot among ``values`` does not hold."""
    shots = set(values.get("camera.shot_size", ()))
    return {v: 0.0 for v in WEIGHTS[field] if shots & set(UNFRAMED.get(v, ()))}


def blanks(field: str, demanded: Values) -> Table:
    """Bars the values of ``field`` beside which a demanded tag would show nothing."""
    return {
        value: 0.0
        for tag, (other, value) in BLANK.items()
        if other == field and holds(demanded, tag)
    }


def holds(values: Values, tag: str) -> bool:
    """Whether a tag is among values."""
    field, _, value = tag.partition("=")
    return value in values.get(field, ())
