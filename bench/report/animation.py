"""Animations of trainings, for a talk or a README: GIF, animated PNG, or MP4 if ffmpeg is installed.

The static parts (panels, titles, the field, the real modes) are drawn once, and each frame adds the moving parts
(matplotlib's blitting). Between two stored moments the sample of each latent moves on a straight line. On paths the
cost grows with the square of time, because most happens early. The same records give the same bytes.
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
from bench.report.figures.panels import Axis
from bench.report.figures.svg import styled
from bench.report.sections.plane import plane
from bench.report.sections.samples import notes, samples
from bench.report.sections.scene import Scene
from bench.report.selection import select
from bench.storage.files import write_file
from bench.storage.names import filename

if TYPE_CHECKING:
    from bench.storage.run_folder import RunFolder

MOST = 2_000_000  # bytes
COLOURS = 160  # of a film of colour images
FEWEST, POOREST = 12, 8  # frames and colours, below which only frames are dropped
HOLD = 1600  # milliseconds that the last frame is shown
Frames = list[NDArray[np.uint8]]
Palette = list[tuple[int, ...]]
Encoder = Callable[[Frames, int, int], bytes]
"""encode(frames, milliseconds of each, the most colours): the bytes of a file."""


def animate(
    run: RunFolder,
    game: str,
    optimizers: list[str] | None = None,
    to: Path | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> Path:
    """Write an animation of a game's trainings, rule beside rule; returns its path.

    Args:
        run: the run.
        game: one of its games, as spelled there.
        optimizers: some of its rules, in this order, by spelling or label; None for all.
        to: the file; its suffix sets the format. Default: ``<game>.gif`` in the run's folder.
        tell: called with a line if frames or colours were dropped to limit the size of the file.
    """
    path = to if to is not None else run.path / f"{filename(game)}.gif"
    if path.suffix.lower() not in KINDS:
        raise UserError(f"--to is {str(path)!r}; its suffix: {nearest(path.suffix.lower() or path.name, KINDS)}")
    if not path.parent.is_dir():
        raise UserError(f"--to is {str(path)!r}; {str(path.parent)!r} is not a folder that is there")
    film = _motion(_scene(run, game, optimizers))
    encode = KINDS[path.suffix.lower()](None if film.coloured else film.palette)
    content, reductions = _encode_small(
        encode, list(film.frames()), film.pace, COLOURS if path.suffix.lower() == ".mp4" else POOREST
    )
    write_file(path, content)
    if reductions:
        tell(f"{path.name} would be larger than {MOST / 1e6:g} MB: it has {reductions}")
    return path


def _scene(run: RunFolder, game: str, optimizers: list[str] | None) -> Scene:
    """The records and tensors of the game, of the requested rules; UserError for an unknown or unfinished one."""
    view = select(run, optimizers or [], [game])
    study, tensors = view.study, view.tensors()
    stored_rules = {chunk["optimizer"] for chunk, chunk_tensors in tensors if chunk_tensors}
    requested = study.optimizers
    rules = [rule for rule in requested if rule in stored_rules]
    if not rules or (optimizers is not None and len(rules) < len(requested)):
        missing = ", ".join(rule for rule in requested if rule not in stored_rules)
        raise UserError(f"{game}: {str(run.path)!r} holds nothing to animate yet of {missing}")
    records, metric = view.records, study.primary(game)
    game_records = records[records["optimizer"].isin(rules)]
    axis, rows, look = Axis(metric.name, metric.better), pd.DataFrame(index=rules), view.look
    return Scene(
        game, study.game(game), shipped_game(game), metric, axis, game_records, {}, rows, tensors, look, look, study
    )  # fmt: skip


def _motion(scene: Scene) -> motion.Motion:
    """The moving figure of a game: its samples, if it generates any that can be drawn, else paths in the plane."""
    generated, failure_notes = samples(scene), notes(scene)
    if generated is not None and generated.alphabet:
        return motion.Texts(generated.reels, scene.look, failure_notes, generated.real, generated.alphabet)
    if generated is not None and generated.images:
        return motion.Sheets(generated.reels, scene.look, failure_notes, generated.real, generated.group)
    if generated is not None:
        return motion.Clouds(generated.reels, scene.look, failure_notes, generated.real)
    game_plane = plane(scene)
    if game_plane is None:
        raise UserError(f"{scene.label}: it has neither samples nor a plane to draw; there is nothing to animate")
    costs = {rule: tensors["path_cost"].numpy() for rule, tensors in scene.tensors_with("path").items()}
    return motion.Paths(game_plane.paths, costs, scene.look, failure_notes, game_plane.solution, game_plane.field)


# --- files -----------------------------------------------------------------------------------------------------------


def _encode_small(encode: Encoder, frames: Frames, pace: int, poorest: int) -> tuple[bytes, str]:
    """A file of at most `MOST` bytes, and which frames and colours it kept, in words; "" for all.

    Every other frame is dropped, then colours, then more frames. UserError if even two frames of few colours are too
    large.
    """
    total, colours = len(frames), COLOURS
    while len(content := encode(frames, pace, colours)) > MOST:
        if len(frames) > FEWEST or (colours == poorest and len(frames) > 2):
            frames, pace = [*frames[:-1:2], frames[-1]], 2 * pace
        elif colours > poorest:
            colours = max(colours // 2, poorest)
        else:
            raise UserError(f"--optimizers: the film is larger than {MOST / 1e6:g} MB at its poorest; name fewer rules")
    reductions = [f"{len(frames)} of {total} frames"] * (len(frames) < total)
    reductions += [f"{colours} colours"] * (colours < COLOURS)
    return content, " and ".join(reductions)


def _images(kind: str, colours: Palette | None) -> Encoder:
    """The encoder of an animated image format of Pillow's; all frames share a palette, so only changes are stored."""

    def encode(frames: Frames, pace: int, most: int) -> bytes:
        if colours is None or most < COLOURS:
            sampled = frames[:: max(1, len(frames) // 6)] + frames[-1:]
            palette = Image.fromarray(np.concatenate(sampled)).quantize(most, method=Image.Quantize.MEDIANCUT)
        else:
            palette = Image.new("P", (1, 1))
            palette.putpalette([channel for colour in colours for channel in colour])
        quantized = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
        durations, sink = [pace] * (len(quantized) - 1) + [HOLD], io.BytesIO()
        options = {"save_all": True, "append_images": quantized[1:], "duration": durations, "loop": 0, "optimize": True}
        quantized[0].save(sink, format=kind, **options)
        return sink.getvalue()

    return encode


def _mp4(_: Palette | None) -> Encoder:
    """The encoder of MP4 (H.264) through ffmpeg; UserError if ffmpeg is not installed."""
    if not FFMpegWriter.isAvailable():
        raise UserError("--to: an .mp4 needs the program ffmpeg, which is not there; allowed without it: .gif, .png")

    @styled()
    def encode(frames: Frames, pace: int, _: int) -> bytes:
        height, width = (side // 2 * 2 for side in frames[0].shape[:2])  # H.264 requires even sides
        figure = Figure(figsize=(width / motion.DPI, height / motion.DPI), dpi=motion.DPI)
        image = figure.figimage(frames[0][:height, :width])
        encoding = ["-crf", "20", "-pix_fmt", "yuv420p", "-threads", "1"]
        deterministic = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact"]
        rate: Any = 1000 / pace  # frames a second; not a whole number
        writer = FFMpegWriter(fps=rate, codec="libx264", extra_args=encoding + deterministic)
        try:
            with TemporaryDirectory() as folder:
                path = Path(folder, "film.mp4")
                with writer.saving(figure, path, motion.DPI):
                    for frame in [*frames, *[frames[-1]] * (HOLD // pace)]:
                        image.set_data(frame[:height, :width])
                        writer.grab_frame()
                return path.read_bytes()
        except (subprocess.CalledProcessError, OSError) as error:
            message = " ".join(str(getattr(error, "stderr", "") or error).split())
            raise UserError(f"--to: ffmpeg could not make an .mp4: {message}") from None

    return encode


KINDS: dict[str, Callable[[Palette | None], Encoder]] = {
    ".gif": partial(_images, "gif"),
    ".png": partial(_images, "png"),
    ".mp4": _mp4,
}
