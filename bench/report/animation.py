"""A training as a moving picture, for a talk or a README: GIF, animated PNG, or MP4 where ffmpeg is there.

What stands still (panels, titles, the field, the real modes) is drawn once; a frame adds what moves (matplotlib's
blitting). Between two stored moments samples go in a straight line, latent by latent; paths grow with the root of time,
for most happens early. The same records give the same bytes.
"""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.animation import FFMpegWriter
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from bench.errors import UserError, nearest
from bench.registry.description import shipped_game
from bench.report.figures import motion
from bench.report.figures.panels import Axis, looks
from bench.report.figures.svg import styled
from bench.report.sections.plane import plane
from bench.report.sections.samples import notes, samples
from bench.report.sections.scene import Scene
from bench.storage.files import write_file
from bench.storage.names import filename

if TYPE_CHECKING:
    from bench.storage.run_folder import RunFolder

MOST = 2_000_000  # bytes
COLOURS = 160  # where the pictures have some of their own
FEWEST, POOREST = 12, 8  # frames and colours, before frames are left out after all
HOLD = 1600  # milliseconds that the last frame stands
Frames = list[NDArray[np.uint8]]
Palette = list[tuple[int, ...]]
Encoder = Callable[[Frames, int, int], bytes]
"""Of frames, how many milliseconds each stands, and at most how many colours."""


def animate(
    run: RunFolder,
    game: str,
    optimizers: list[str] | None = None,
    to: Path | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> Path:
    """Write a game's trainings, rule beside rule, as a moving picture; returns its path.

    Args:
        run: the run.
        game: one of its games, as spelled there.
        optimizers: some of its rules, in this order; None for all.
        to: the file, whose suffix says of what kind; default: ``<game>.gif`` in the run's folder.
        tell: is told in a line where the film has fewer frames or colours than there are, to be small enough.
    """
    path = to if to is not None else run.path / f"{filename(game)}.gif"
    if path.suffix.lower() not in KINDS:
        raise UserError(f"--to is {str(path)!r}; its suffix: {nearest(path.suffix.lower() or path.name, KINDS)}")
    if not path.parent.is_dir():
        raise UserError(f"--to is {str(path)!r}; {str(path.parent)!r} is not a folder that is there")
    film = _film(_scene(run, game, optimizers))
    encode = KINDS[path.suffix.lower()](None if film.coloured else film.palette)
    content, less = _small(
        encode, list(film.frames()), film.pace, COLOURS if path.suffix.lower() == ".mp4" else POOREST
    )
    write_file(path, content)
    if less:
        tell(f"{path.name} would be larger than {MOST / 1e6:g} MB: it has {less}")
    return path


def _scene(run: RunFolder, game: str, optimizers: list[str] | None) -> Scene:
    """What is there of the game and of the rules."""
    study = run.study
    if game not in study.games:
        raise UserError(f"--game is {game!r}; {nearest(game, study.games)}")
    for rule in optimizers or []:
        if rule not in study.optimizers:
            raise UserError(f"--optimizers has {rule!r}; {nearest(rule, study.optimizers)}")
    tensors = [(chunk, held) for chunk, held in run.tensors() if chunk["label"] == game]
    there = {chunk["optimizer"] for chunk, held in tensors if held}
    wanted = study.optimizers if optimizers is None else list(dict.fromkeys(optimizers))
    rules = [rule for rule in wanted if rule in there]
    if not rules or (optimizers is not None and len(rules) < len(wanted)):
        lacking = ", ".join(rule for rule in wanted if rule not in there)
        raise UserError(f"{game}: {str(run.path)!r} holds nothing to animate yet of {lacking}")
    records, metric = run.records, study.primary(game)
    own = records[(records["game"] == game) & records["optimizer"].isin(rules)]
    axis, rows, look = Axis(metric.name, metric.better), pd.DataFrame(index=rules), looks(study.optimizers)
    return Scene(game, study.game(game), shipped_game(game), metric, axis, own, {}, rows, tensors, look, study)


def _film(scene: Scene) -> motion.Motion:
    """What moves on a game: samples where it generates some that can be drawn, else paths in the plane."""
    found, failed = samples(scene), notes(scene)
    if found is not None and found.images:
        return motion.Sheets(found.reels, scene.look, failed, found.real)
    if found is not None:
        return motion.Clouds(found.reels, scene.look, failed, found.real)
    drawn = plane(scene)
    if drawn is None:
        raise UserError(f"{scene.label}: it has neither samples nor a plane to draw; there is nothing to animate")
    costs = {rule: held["path_cost"].numpy() for rule, held in scene.held("path").items()}
    return motion.Paths(drawn.paths, costs, scene.look, failed, drawn.solution, drawn.field)


# --- files -----------------------------------------------------------------------------------------------------------


def _small(encode: Encoder, frames: Frames, pace: int, poorest: int) -> tuple[bytes, str]:
    """The file, small enough, and what it has fewer of: every other frame is left out, then colours, then frames.

    UserError where even two frames of few colours are too large.
    """
    whole, colours = len(frames), COLOURS
    while len(content := encode(frames, pace, colours)) > MOST:
        if len(frames) > FEWEST or (colours == poorest and len(frames) > 2):
            frames, pace = [*frames[:-1:2], frames[-1]], 2 * pace
        elif colours > poorest:
            colours = max(colours // 2, poorest)
        else:
            raise UserError(f"--optimizers: the film is larger than {MOST / 1e6:g} MB at its poorest; name fewer rules")
    less = [f"{len(frames)} of {whole} frames"] * (len(frames) < whole) + [f"{colours} colours"] * (colours < COLOURS)
    return content, " and ".join(less)


def _images(kind: str, colours: Palette | None) -> Encoder:
    """Of an image format that moves, through Pillow: all frames in one palette, so that only what changes is stored."""

    def encode(frames: Frames, pace: int, most: int) -> bytes:
        if colours is None or most < COLOURS:
            chosen = frames[:: max(1, len(frames) // 6)] + frames[-1:]
            palette = Image.fromarray(np.concatenate(chosen)).quantize(most, method=Image.Quantize.MEDIANCUT)
        else:
            palette = Image.new("P", (1, 1))
            palette.putpalette([part for colour in colours for part in colour])
        few = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
        times, sink = [pace] * (len(few) - 1) + [HOLD], io.BytesIO()
        how = {"save_all": True, "append_images": few[1:], "duration": times, "loop": 0, "optimize": True}
        few[0].save(sink, format=kind, **how)
        return sink.getvalue()

    return encode


def _mp4(_: Palette | None) -> Encoder:
    """MP4 (H.264) through ffmpeg; UserError where it is not there."""
    if not FFMpegWriter.isAvailable():
        raise UserError("--to: an .mp4 needs the program ffmpeg, which is not there; allowed without it: .gif, .png")

    @styled()
    def encode(frames: Frames, pace: int, _: int) -> bytes:
        height, width = (side // 2 * 2 for side in frames[0].shape[:2])  # the format wants even sides
        figure = Figure(figsize=(width / motion.DPI, height / motion.DPI), dpi=motion.DPI)
        image = figure.figimage(frames[0][:height, :width])
        taken = ["-crf", "20", "-pix_fmt", "yuv420p", "-threads", "1"]
        same = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact"]
        rate: Any = 1000 / pace  # of frames a second, no whole number
        writer = FFMpegWriter(fps=rate, codec="libx264", extra_args=taken + same)
        try:
            with TemporaryDirectory() as folder:
                path = Path(folder, "film.mp4")
                with writer.saving(figure, path, motion.DPI):
                    for frame in [*frames, *[frames[-1]] * (HOLD // pace)]:
                        image.set_data(frame[:height, :width])
                        writer.grab_frame()
                return path.read_bytes()
        except (subprocess.CalledProcessError, OSError) as error:
            said = " ".join(str(getattr(error, "stderr", "") or error).split())
            raise UserError(f"--to: ffmpeg could not make an .mp4: {said}") from None

    return encode


KINDS: dict[str, Callable[[Palette | None], Encoder]] = {
    ".gif": partial(_images, "gif"),
    ".png": partial(_images, "png"),
    ".mp4": _mp4,
}
