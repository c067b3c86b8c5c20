"""What a shot, a ground or a move shows of a clip's other tags.

`tagging` draws no value of which nothing would be seen, and states no field that nobody
could tell: the speed of a camera that goes with its subject, depth where no plane slides,
the emotion of a face of which a shot shows a few dots.
"""

from animatrix_jax.cels.odds import Table
from animatrix_jax.cels.rarities import WEIGHTS

Values = dict[str, tuple[str, ...]]

# In which values of another field a field is seen: moves whose speed is the camera's own,
# moves that slide planes over each other, shots that are near enough to a face.
_EITHER = ("pan_left", "pan_right", "pan_up", "pan_down", "truck_up", "truck_back")
_FACES = ("extreme_close_up", "close_up", "bust", "waist", "knee", "full")
SEEN_IN: dict[str, tuple[str, tuple[str, ...]]] = {
    "motion.emotion": ("camera.shot_size", _FACES),
    "camera.camera_speed": (
        "camera.camera_motion",
        (*_EITHER, "roll", "orbit", "dolly_zoom", "shake"),
    ),
    "camera.depth": ("camera.camera_motion", (*_EITHER, "follow", "follow_pan")),
}
# Timings on which an action of a second is a few drawings: nobody tells how far apart they
# should lie, so spacing is stated only where it is demanded, and no action is explosive.
FEW_DRAWINGS = ("threes", "fours_plus")
# Grounds of which no plane can be told from another; and tags of which the first shows
# nothing beside the second: before a ground without an upright who leans is the figure, and
# before one without a distance nothing but the figure keeps its size.
FLAT = ("white", "flat_abstract", "mood_pattern")
BLANK = (
    *(("camera.camera_motion=dolly_zoom", f"style.background={v}") for v in FLAT),
    ("camera.camera_motion=orbit", "style.background=white"),
    ("camera.camera_motion=orbit", "motion.motion_style=still"),
    *(("camera.angle=dutch", f"style.background={v}") for v in FLAT),
)
# Shots that do not hold what a value shows, and angles that a shot does not hold.
UNFRAMED: dict[str, tuple[str, ...]] = {
    "forced_perspective": ("extreme_close_up", "close_up", "extreme_long"),
    "multiples": ("extreme_close_up",),
    "off_model_exaggeration": ("knee", "full", "long", "extreme_long"),
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
    other, shown = SEEN_IN[field]
    if not set(shown) & set(values[other]):
        return f"in {other}={' and '.join(values[other])}"
    ground = values["style.background"][0]
    if field == "camera.depth" and ground in FLAT:
        return f"before style.background={ground}"
    return ""


def unframed(field: str, values: Values) -> Table:
    """Bars the values of ``field`` that the shot among ``values`` does not hold."""
    shots = set(values.get("camera.shot_size", ()))
    return {v: 0.0 for v in WEIGHTS[field] if shots & set(UNFRAMED.get(v, ()))}


def hides(field: str, demanded: Values) -> Table:
    """Bars the values of ``field`` in which a demanded field would not be seen."""
    return {
        value: 0.0
        for key, (other, shown) in SEEN_IN.items()
        if other == field and key in demanded
        for value in WEIGHTS[field]
        if value not in shown
    }


def blanks(field: str, values: Values) -> Table:
    """Bars the values of ``field`` that show nothing beside ``values``, or they beside
    them."""
    return {
        tag.partition("=")[2]: 0.0
        for pair in BLANK
        for tag, other in (pair, pair[::-1])
        if tag.startswith(f"{field}=") and holds(values, other)
    }


def holds(values: Values, tag: str) -> bool:
    """Whether a tag is among values."""
    field, _, value = tag.partition("=")
    return value in values.get(field, ())
