"""Staging: a spec becomes poses, matrices and a camera, with nothing drawn yet.

What the renderer, the true flow and the analytic measures share. A *cel* is one
drawing of the character; the exposure sheet says which cel each frame shows.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from animatrix_jax.cels import deform
from animatrix_jax.cels.actions import pose_track
from animatrix_jax.cels.camera import (
    CameraTrack,
    Framing,
    camera_track,
    figure_matrix,
    frame_shot,
    orbit_progress,
)
from animatrix_jax.cels.defects import disturb_bones, disturb_pose
from animatrix_jax.cels.figure import spec_body
from animatrix_jax.cels.rig import BONE, CHANNEL, Body, landmarks, solve
from animatrix_jax.cels.shot import Head
from animatrix_jax.cels.spec import ClipSpec

ORBIT_TURNS = 9  # drawings of a figure that is gone round
CHIBI_SHOTS = {"close_up": "bust", "bust": "knee", "waist": "full", "knee": "full"}
LOOKED_AT = {"low": -0.08, "high": 0.1, "worms_eye": -0.12}  # shift of the face
LEAPS = ("jump_fly", "comic_reaction")  # these need air above the head


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """One model of the character, framed: its own, or the chibi's."""

    proportion: str
    body: Body
    framing: Framing
    place: Float[np.ndarray, "3 3"]  # figure units to world
    turn: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cel:
    """One drawing: which model, and its bones' matrices to world."""

    model: int
    bones: Float[np.ndarray, "b 3 3"]
    time: float
    smeared: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything about a clip that moves."""

    models: tuple[Model, ...]
    cels: tuple[Cel, ...]
    sheet: tuple[int, ...]  # frame -> cel
    camera: CameraTrack

    def cel(self, frame: int) -> Cel:
        """The drawing that a frame shows."""
        return self.cels[self.sheet[frame]]


def _models(spec: ClipSpec) -> tuple[Model, ...]:
    shot = spec.camera.shot
    if "orbit" in spec.camera.moves:
        return _turned_models(spec)
    proportions = [spec.value("style.proportion")]
    if "chibi_shift" in spec.deform.kinds:
        proportions.append("super_deformed")
    models = []
    for number, proportion in enumerate(proportions):
        body = spec_body(spec, proportion)
        # A chibi is cut in with more of its body, and smaller than its model.
        wider = CHIBI_SHOTS.get(shot, shot) if number else shot
        framing = frame_shot(wider, body, leaps=spec.action.style in LEAPS)
        if number and wider in ("full", "long", "extreme_long"):
            framing = dataclasses.replace(framing, view=1.3 * framing.view)
        models.append(
            Model(
                proportion=proportion,
                body=body,
                framing=framing,
                place=figure_matrix(spec, framing),
                turn=spec.character.turn,
            )
        )
    return tuple(models)


def _turned_models(spec: ClipSpec) -> tuple[Model, ...]:
    """The figure from three quarters on one side to three quarters on the other, of
    which a slow camera shows the middle ones."""
    proportion = spec.value("style.proportion")
    models = []
    for turn in np.linspace(1.0, -1.0, ORBIT_TURNS):
        body = spec_body(spec, proportion, abs(float(turn)))
        framing = frame_shot(spec.camera.shot, body)
        facing = spec.character.facing * (1 if turn >= 0 else -1)
        place = figure_matrix(spec, framing, facing)
        models.append(
            Model(
                proportion=proportion,
                body=body,
                framing=framing,
                place=place,
                turn=abs(float(turn)),
            )
        )
    return tuple(models)


def _shown_models(
    spec: ClipSpec, models: tuple[Model, ...], times: Float[np.ndarray, " d"]
) -> list[int]:
    """Which model each drawing is of."""
    if "orbit" in spec.camera.moves:
        progress = orbit_progress(spec.camera.speed, spec.frames)[times.astype(int)]
        return np.round(progress * (len(models) - 1)).astype(int).tolist()
    if len(models) > 1:
        return (deform.window(spec.deform, times) >= 0).astype(int).tolist()
    return [0] * len(times)


def _bones(
    spec: ClipSpec, model: Model, times: Float[np.ndarray, " d"], *, defects: bool
) -> Float[np.ndarray, "b d 3 3"]:
    """Bones to figure units at the given times, deformation and defects included."""
    pose = pose_track(spec.action, times, frames=spec.frames)
    pose = deform.squash(spec, pose, times)
    pose = deform.thrust(spec, pose, times)
    # A low camera sees the face from below, a high one from above.
    pose[:, CHANNEL["nod"]] += LOOKED_AT.get(spec.camera.angle, 0)
    if defects:
        pose = disturb_pose(pose, spec.defects)
    framing = model.framing
    bones = solve(model.body, pose, view=framing.view, pivot=framing.pivot)
    bones = deform.smear(spec, bones, times, centre=-0.5 * model.body.crown)
    bones = deform.exaggerate(spec, bones, times, level=framing.pivot)
    return disturb_bones(bones, spec.defects) if defects else bones


def ghost_bones(
    spec: ClipSpec, stage: Stage, cel: Cel
) -> list[tuple[Float[np.ndarray, "b 3 3"], float]]:
    """Bones and opacity of the repeated drawings behind a cel."""
    found = deform.ghosts(spec, cel.time)
    if not found:
        return []
    model = stage.models[cel.model]
    times = np.array([time for time, _ in found])
    bones = model.place @ _bones(spec, model, times, defects=False)
    # Where the action is small, the repeats fan out along it all the same.
    fan = 0.035 * spec.character.facing * (times - cel.time)
    bones[:, :, 0] += fan[:, None] * bones[:, :, 2]
    return [(bones[:, i], opacity) for i, (_, opacity) in enumerate(found)]


def make_stage(spec: ClipSpec) -> Stage:
    """Poses, cels and camera of a clip."""
    models = _models(spec)
    restless = any(
        d.family in ("motion_coherence", "line_continuity") for d in spec.defects
    )
    if restless:
        # Such defects show on ones, whatever the exposure.
        shown = list(range(spec.frames))
        times = np.array(spec.exposure, float)
    else:
        shown = sorted(set(spec.exposure))
        times = np.array(shown, float)
    model = _shown_models(spec, models, times)
    placed = [
        model.place @ _bones(spec, model, times, defects=True) for model in models
    ]
    smeared = np.zeros(len(times), bool)
    if "smear" in spec.deform.kinds:
        smeared = deform.window(spec.deform, times) >= 0
    cels = tuple(
        Cel(
            model=model[i],
            bones=placed[model[i]][:, i],
            time=float(times[i]),
            smeared=bool(smeared[i]),
        )
        for i in range(len(times))
    )
    order = {frame: number for number, frame in enumerate(shown)}
    sheet = tuple(
        number if restless else order[frame]
        for number, frame in enumerate(spec.exposure)
    )
    path = np.zeros(spec.frames)
    if {"follow", "follow_pan"} & set(spec.camera.moves):
        on_ones = np.arange(spec.frames, dtype=float)
        action = spec.action
        if action.spacing == "vibration":
            # Who follows does not tremble with the subject.
            action = dataclasses.replace(action, spacing="eased")
        track = pose_track(action, on_ones, frames=spec.frames)
        path = spec.character.facing * track[:, CHANNEL["x"]]
    return Stage(models=models, cels=cels, sheet=sheet, camera=camera_track(spec, path))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measures:
    """Analytic motion and deformation, in frame heights per frame."""

    motion: float
    deformation: float


def measure(spec: ClipSpec, stage: Stage) -> Measures:
    """m(x) and d(x) from points on the figure, with no rendering.

    m is the mean displacement of the points from frame to frame, half from the figure
    and half from the set behind it; d is what a least-squares affine map of the
    figure's points leaves, plus the size of deformation that is drawn anew.
    """
    if spec.frames < 2:
        return Measures(motion=0.0, deformation=0.0)
    camera = stage.camera.matrices(height=1, width=1)
    marks = []
    for model in stage.models:
        found = landmarks(model.body)
        local = np.array([[x, y, 1.0] for _, x, y in found])
        marks.append((np.array([bone for bone, _, _ in found]), local))
    world = []
    for cel in stage.cels:
        index, local = marks[cel.model]
        world.append((cel.bones[index] @ local[..., None])[..., 0])
    placed = np.stack(world)[list(stage.sheet)] @ camera.transpose(0, 2, 1)
    points = placed[..., :2] / placed[..., 2:]
    step = np.diff(points, axis=0)
    inside = (np.abs(points[:-1] - 0.5) < 0.65).all(-1)
    length = np.linalg.norm(step, axis=-1)
    figure = (length * inside).sum() / max(inside.sum(), 1)
    grid = np.array([[x, y, 1.0] for x in (-0.4, 0, 0.4) for y in (-0.4, 0, 0.4)])
    sets = stage.camera.matrices(height=1, width=1, parallax=0.6, scenery=True)
    seen = np.einsum("tij,pj->tpi", sets, grid)[..., :2]
    scenery = np.linalg.norm(np.diff(seen, axis=0), axis=-1).mean()
    # Weighted least squares of the steps on (x, y, 1), for all frames at once.
    base = np.concatenate([points[:-1], np.ones((*points.shape[:2], 1))[:-1]], -1)
    weighted = base * inside[..., None]
    gram = np.einsum("tpi,tpj->tij", weighted, base) + 1e-9 * np.eye(3)
    fit = np.linalg.solve(gram, np.einsum("tpi,tpj->tij", weighted, step))
    left = np.square(step - base @ fit).sum(-1) * inside
    enough = inside.sum(-1) >= 5
    mean = left.sum(-1)[enough] / inside.sum(-1)[enough]
    residual = float(np.sqrt(mean.mean())) if enough.any() else 0.0
    return Measures(
        motion=float(0.5 * figure + 0.5 * scenery),
        deformation=residual + deform.drawn_stretch(spec),
    )


def head_on_screen(cel: Cel, camera: Float[np.ndarray, "3 3"], *, height: int) -> Head:
    """Where a cel's head is in the picture."""
    marks = np.array(
        [[0.0, 0.0], [0.0, -0.4], [1.0, 1.0]]
    )  # middle and crown, by column
    points = camera @ cel.bones[BONE["head"]] @ marks
    (x, top_x), (y, top_y) = points[:2] / points[2] / height
    radius = float(np.hypot(x - top_x, y - top_y)) * 1.25
    angle = float(np.arctan2(x - top_x, y - top_y))
    return Head(float(x), float(y), radius, -angle)
