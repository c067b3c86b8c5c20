"""Values and fields that Cel World learned to draw later, and how often it does.

They are drawn from a stream of their own (``Draws.child("rare")``), beside the draw that
`odds.COMMON` decides, so that a clip which has none of them is the clip it was
before. Weights are on the scale of the field's common weights.
"""

from animatrix_jax.cels.odds import COMMON, Table
from animatrix_jax.knowledge.taxonomy import load_taxonomy

RARE: dict[str, Table] = {
    "style.video_style": {
        "2d_japanese_anime": 76,
        "2d_western": 9,
        "3d_cel_shaded": 8,
        "3d_cg": 7,
    },
    "style.era": {
        "cel_era": 11,
        "early_digital": 11,
        "modern_digital": 67,
        "retro_pastiche": 11,
    },
    "style.background": {"photo_based": 10},
    "motion.motion_style": {"ranged": 6, "sport": 6, "transformation": 6},
    "motion.deformation": {"forced_perspective": 8, "off_model_exaggeration": 8},
    "motion.idiom": {"limited": 32, "full": 26, "realist": 18, "kanada": 24},
    "camera.angle": {"worms_eye": 8, "over_shoulder": 8, "pov": 8},
    "camera.camera_motion": {"follow_pan": 6, "orbit": 6, "dolly_zoom": 6},
    "vfx.manpu": {"nosebleed": 4, "escaping_soul": 5},
    "vfx.energy": {
        "none": 210,
        "aura": 8,
        "beam": 7,
        "magic_circle": 7,
        "slash_trail": 7,
        "missile_swarm": 6,
        "transformation_glow": 6,
    },
    "vfx.composite": {
        "none": 170,
        "transmitted_light": 9,
        "lens_flare": 9,
        "bloom_diffusion": 9,
        "gradient": 9,
        "double_exposure": 8,
        "rack_focus": 8,
        "grain": 9,
        "screentone": 9,
    },
}
# What goes unsaid most of the time: the school shows only where it was animated in one.
SAID = {"motion.idiom": 0.35}
# What each world has of the rare values, as a factor on them; and whether it states the
# ordinary value of a field that is wholly rare. The others do not: what ships was trained
# without.
SHARE = {"broad": 0.75, "plain": 0.06, "series": 0.08, "quiet": 0.06, "bending": 0.08}
ORDINARY = {
    "style.video_style": "2d_japanese_anime",
    "style.era": "modern_digital",
    "vfx.energy": "none",
    "vfx.composite": "none",
}
STATES_ORDINARY = {name: name == "broad" for name in SHARE}


def _merged() -> dict[str, Table]:
    """Every drawn field and value in the taxonomy's order."""
    merged: dict[str, Table] = {}
    for field in load_taxonomy().fields:
        table = COMMON.get(field.key, {}) | RARE.get(field.key, {})
        if table:
            merged[field.key] = {
                value.name: table[value.name]
                for value in field.values
                if value.name in table
            }
    return merged


WEIGHTS = _merged()
