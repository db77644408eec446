"""One face, drawn into pictures.

Rule that this module guards: **only what can change is drawn.** Points and normals are moved by one product of the
weights with all moves; the picture is drawn in the box in which anything of the face can ever be, and pasted into the
background.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.errors import DamagedAvatar
from emotalk_avatar.video.clip import Clip, Frame
from emotalk_avatar.video.context import open_context
from emotalk_avatar.video.errors import InvalidVideo
from emotalk_avatar.video.picturing import DEFAULT_SIZE, MIN_SIZE, check_size, filled
from emotalk_avatar.video.scene import Scene, Surface, read_scene
from emotalk_avatar.video.shading import LIT, UNLIT, VERTEX
from emotalk_client.faces import head as bundled
from emotalk_contract.arkit import BLENDSHAPE_COUNT, INDEX

FIELD_DEG = 20.0
"""Of view, up and down; with the next three as in the viewer."""
TALL_M, WIDE_M = 0.275, 0.23
"""Of head and neck that are seen at the least."""
CENTRE = (0.0, 0.014, 0.01)
BEFORE_M = 0.06
"""The face lies before the middle of the head."""
NECK_M = (-0.118, -0.084)
"""Heights between which the neck fades."""
PIVOT = (0.0, -0.07, -0.01)
"""About which a head turns: where the spine meets it."""
LIGHT, DARK = (249, 248, 246), (221, 217, 209)
"""The background of a head, RGB: its middle and its corners."""
SKIN = "skin"
"""Of a head: what fades at the neck and has an outline."""
WHOLE = 0.996
"""Opacity from which on nothing shows through."""
ASIDE = 0.35
"""Cosine below which a triangle is seen from the side."""
SWELL = 0.7
"""Pixels that a fading outline lies outside of what is whole."""
MAX_OWN_SIDE = 1280
"""Pixels of the longer side of a video that has its photograph's size."""
BACKDROP = "avatar-backdrop"
"""The photograph behind an avatar's face, which stays where it is."""
SHIFT, ROLL = 0.35, 0.4
"""Of an avatar: the share of the face's half width that a radian moves it by, and of a roll that is shown; a photograph
has no other side. As on the page."""
SWAYS = (1.0, 1.9)
"""Of the face's half height: distances from its middle between which an avatar's sway fades."""
FINER = 0.75
"""Pixels of the video for one of a photograph, below which it is scaled."""
ROOM_M = 0.02
"""About a head, for its turns."""


@dataclass(frozen=True, slots=True)
class _Look:
    """The material of a lit surface beyond its colour."""

    gloss: float = 30.0
    sheen: float = 0.0
    shade: tuple[float, float] = (-2.0, -1.0)
    """Depths in metres between which light is lost."""


_LOOKS = {
    "skin": _Look(18.0, 1.0),
    "teeth": _Look(40.0, 0.0, (0.035, 0.085)),
    "tongue": _Look(30.0, 0.4, (0.025, 0.085)),
    "sclera": _Look(160.0),
    "iris": _Look(400.0),
    "pupil": _Look(400.0),
}


ClipOf: TypeAlias = Callable[[tuple[int, int]], Clip]
"""Makes the clip with frames of a width and height."""


class Drawing:
    """A face at a size.

    Args:
        content: an avatar's glTF; None: this project's head.
        size: width and height in pixels; None: its photograph's of an avatar, 512 by 512 of a head. A photograph of
            another shape fills it, and is cut at its sides.
        background: RGB of one colour, or a picture [h, w, 3] as large as the video; of a head only.
        clip: of an avatar whose photograph moves.

    Raises:
        InvalidVideo: a size or a background that cannot be.
        DamagedAvatar: ``content`` cannot be drawn.
        NoDisplay, MissingExtra: nothing can be drawn here.
    """

    def __init__(
        self,
        content: bytes | None = None,
        size: tuple[int, int] | None = None,
        background: tuple[int, int, int] | NDArray[np.uint8] | None = None,
        clip: ClipOf | None = None,
    ) -> None:
        scene = read_scene(bundled.read() if content is None else content)
        self.size = check_size(size or _own_size(scene))
        if scene.photograph is not None and background is not None:
            raise InvalidVideo("an avatar has its photograph behind it; accepted: a background with the head alone")
        self._canvas = _canvas(
            self.size, background if scene.photograph is None else filled(scene.photograph, self.size)
        )
        self._mesh = _Mesh(scene)
        self._view = _View.of(scene, self.size, self._mesh, whole=clip is not None)
        self._screen = _Screen(scene, self._mesh, self._view, self._canvas)
        self._clip = None if clip is None else self._screen.clip(clip, self._mesh)

    def draw(
        self, weights: NDArray[np.float32], head: NDArray[np.float32] | None = None, seconds: float = 0.0
    ) -> NDArray[np.uint8]:
        """Return the face as RGB [height, width, 3]; the array is overwritten by the next call.

        Args:
            weights: [52] in ARKit's order.
            head: [3] yaw, pitch and roll in radians, as :mod:`emotalk_client.faces.rotations` has them; None: straight.
            seconds: of the show, which say where a clip is.
        """
        x, y, width, height = self._view.box
        posed = self._mesh.posed(weights)
        if self._clip is not None:
            frame = self._clip.at(seconds)
            posed.reshape(-1, 6)[:, :2] += frame.moves
            self._screen.show(frame)
        face = self._screen.drawn(posed, self._view.turned(head))
        self._canvas[y : y + height, x : x + width] = face
        return self._canvas

    def close(self) -> None:
        """Let go of the context."""
        self._screen.close()


def _own_size(scene: Scene) -> tuple[int, int]:
    """Return the size of a photograph, or as much of it as may be."""
    if scene.size is None:
        return DEFAULT_SIZE
    share = min(1.0, MAX_OWN_SIDE / max(scene.size))
    width, height = (max(MIN_SIZE, round(side * share)) for side in scene.size)
    return width, height


def _canvas(size: tuple[int, int], background: tuple[int, int, int] | NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    width, height = size
    canvas = np.empty((height, width, 3), np.uint8)
    if isinstance(background, np.ndarray) and background.shape != canvas.shape:
        raise InvalidVideo(f"the background has shape {list(background.shape)}; accepted: {list(canvas.shape)}")
    canvas[:] = _studio(width, height) if background is None else background
    return canvas


def _studio(width: int, height: int) -> NDArray[np.uint8]:
    """Return the viewer's wall [height, width, 3]."""
    across, down = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    share = np.minimum(np.hypot(across[None, :], down[:, None]) / 1.3, 1)[..., None]
    wall: NDArray[np.float64] = np.rint(LIGHT + share * (np.array(DARK) - LIGHT))
    return wall.astype(np.uint8)


class _Mesh:
    """All surfaces in one buffer: points and normals at rest, and their moves."""

    def __init__(self, scene: Scene) -> None:
        surfaces = scene.surfaces
        self.count = sum(len(surface.points) for surface in surfaces)
        rest = [np.concatenate([s.points, s.normals], axis=1) for s in surfaces]
        moves = [np.concatenate([s.moves, s.turns], axis=2) for s in surfaces]
        self._rest = np.concatenate(rest).reshape(-1)
        self._moves = np.concatenate(moves, axis=1).reshape(BLENDSHAPE_COUNT, -1)
        self._posed: NDArray[np.float32] = np.empty_like(self._rest)

    def posed(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return points and normals, [V * 6]; overwritten by the next call."""
        np.matmul(np.asarray(weights, np.float32), self._moves, out=self._posed)
        self._posed += self._rest
        return self._posed

    def bounds(self, scene: Scene) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the lowest and the highest corner [3] that single blendshapes reach; a backdrop does not count."""
        rest = self._rest.reshape(-1, 6)[:, :3]
        moves = self._moves.reshape(BLENDSHAPE_COUNT, -1, 6)[..., :3]
        low, high = rest + moves.min(axis=0).clip(max=0), rest + moves.max(axis=0).clip(min=0)
        counts = np.concatenate([np.full(len(s.points), s.name != BACKDROP) for s in scene.surfaces])
        if not counts.any():
            raise DamagedAvatar("the glTF has a backdrop and no face; accepted: one that this project wrote")
        return low[counts].min(axis=0), high[counts].max(axis=0)


@dataclass(frozen=True, slots=True)
class _View:
    """A camera, the box of the picture that it looks at, and how the head turns."""

    camera: NDArray[np.float32]
    """[4, 4]: from the scene to the box, whose first row is drawn first."""
    eye: tuple[float, float, float]
    box: tuple[int, int, int, int]
    """Left, top, width, height in pixels."""
    pixel: float
    """Metres."""
    flat: bool
    """True of an avatar."""
    half: tuple[float, float]
    """Of the face: width and height in metres."""
    still: tuple[float, float, float, float]
    """Of an avatar: its middle, and the distances between which its sway fades; zeros of a head."""

    @classmethod
    def of(cls, scene: Scene, size: tuple[int, int], mesh: _Mesh, *, whole: bool) -> _View:
        low, high = mesh.bounds(scene)
        half = (high - low)[:2] / 2
        middle = (high + low)[:2] / 2
        if scene.frame is None:
            camera, eye = _perspective(size)
            low, high = low - ROOM_M, high + ROOM_M
            pixel, still = max(TALL_M / size[1], WIDE_M / size[0]), (0.0, 0.0, 0.0, 0.0)
        else:
            camera, pixel = _straight(scene, size, low, high)
            eye = (0.0, 0.0, 10.0)
            begins, ends = (float(half[1] * share) for share in SWAYS)
            still = (float(middle[0]), float(middle[1]), begins, ends)
            low[:2], high[:2] = np.minimum(low[:2], middle - ends), np.maximum(high[:2], middle + ends)
        corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1)
        seen = camera @ np.concatenate([corners, np.ones((1, 8))])
        box = (0, 0, *size) if whole else _box(seen[:2] / seen[3], size)
        boxed = (_window(box, size) @ camera).astype(np.float32)
        return cls(boxed, eye, box, pixel, scene.frame is not None, (float(half[0]), float(half[1])), still)

    def turned(self, head: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """Return what [4, 4] moves a head that is turned by ``head``, [3] yaw, pitch and roll."""
        if head is None:
            return np.eye(4, dtype=np.float32)
        if not self.flat:
            return _turned(head)
        yaw, pitch, roll = (float(angle) for angle in head)
        chin = np.array([self.still[0], self.still[1] - self.half[1]])
        cos, sin = math.cos(ROLL * roll), math.sin(ROLL * roll)
        out = np.eye(4)
        out[:2, :2] = [[cos, -sin], [sin, cos]]
        out[:2, 3] = chin - out[:2, :2] @ chin + np.array([yaw, -pitch]) * SHIFT * self.half[0]
        return out.astype(np.float32)


def _perspective(size: tuple[int, int]) -> tuple[NDArray[np.float64], tuple[float, float, float]]:
    """Return the viewer's camera, and its place."""
    width, height = size
    half = max(TALL_M, WIDE_M * height / width) / 2
    far = half / math.tan(math.radians(FIELD_DEG / 2)) + BEFORE_M
    eye = (CENTRE[0], CENTRE[1], CENTRE[2] + far)
    near, end, f = far - 0.3, far + 0.3, 1 / math.tan(math.radians(FIELD_DEG / 2))
    lens = np.zeros((4, 4))
    lens[0, 0], lens[1, 1] = f * height / width, f
    lens[2, 2:] = (end + near) / (near - end), 2 * end * near / (near - end)
    lens[3, 2] = -1
    moved = np.eye(4)
    moved[:3, 3] = -np.array(eye)
    return lens @ moved, eye


def _straight(
    scene: Scene, size: tuple[int, int], low: NDArray[np.float32], high: NDArray[np.float32]
) -> tuple[NDArray[np.float64], float]:
    """Return the camera that looks at a photograph, which fills the picture, and the size of a pixel."""
    assert scene.frame is not None  # noqa: S101  # who asks has looked
    left, top, right, bottom = scene.frame
    width, height = size
    pixel = min((right - left) / width, (top - bottom) / height)
    depths = np.concatenate([surface.points[:, 2] for surface in scene.surfaces] + [low[2:], high[2:]])
    near, far = float(depths.max()) + ROOM_M, float(depths.min()) - ROOM_M
    whole = np.diag([2 / (width * pixel), 2 / (height * pixel), -2 / (near - far), 1.0])
    whole[:3, 3] = -whole[0, 0] * (left + right) / 2, -whole[1, 1] * (top + bottom) / 2, (near + far) / (near - far)
    return whole, pixel


def _box(seen: NDArray[np.float64], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the pixels around ``seen`` [2, N], -1..1."""
    width, height = size
    across = np.clip((seen[0] + 1) / 2 * width, 0, width)
    down = np.clip((1 - seen[1]) / 2 * height, 0, height)
    left, top = math.floor(across.min()), math.floor(down.min())
    return left, top, max(1, math.ceil(across.max()) - left), max(1, math.ceil(down.max()) - top)


def _window(box: tuple[int, int, int, int], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return what brings ``box`` of the picture to -1..1, its top row to y = -1: rows are read from there."""
    (x, y, width, height), (whole_x, whole_y) = box, size
    window = np.eye(4)
    window[0, 0], window[0, 3] = whole_x / width, (whole_x - 2 * x) / width - 1
    window[1, 1], window[1, 3] = -whole_y / height, (whole_y - 2 * y) / height - 1
    return window


def _turned(head: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the turn [4, 4] about the neck: roll, then pitch, then yaw."""
    (cy, sy), (cp, sp), (cr, sr) = ((math.cos(angle), math.sin(angle)) for angle in head)
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    out = np.eye(4)
    out[:3, :3] = yaw @ pitch @ roll
    out[:3, 3] = np.array(PIVOT) - out[:3, :3] @ PIVOT
    return out.astype(np.float32)


class _Screen:
    """The graphics side: buffers, textures and the programs that draw them."""

    def __init__(self, scene: Scene, mesh: _Mesh, view: _View, canvas: NDArray[np.uint8]) -> None:
        self._context: Any = open_context()
        x, y, self._width, self._height = view.box
        with self._context as gl:
            self._programs = {lit: gl.program(VERTEX, LIT if lit else UNLIT) for lit in {s.lit for s in scene.surfaces}}
            for program in self._programs.values():
                _set(program, camera=view.camera.T.tobytes(), still=np.array(view.still, np.float32).tobytes())
                _set(program, edges=np.array(scene.frame or (0, 0, 0, 0), np.float32).tobytes())
                _set(program, eye=np.array(view.eye, np.float32).tobytes())
            self._frame = gl.simple_framebuffer((self._width, self._height), 4)
            self._points = gl.buffer(reserve=mesh.count * 24, dynamic=True)
            has_own = any(surface.name == BACKDROP for surface in scene.surfaces)
            self._behind = None if has_own else _Wall(gl, canvas[y : y + self._height, x : x + self._width])
            self._textures = textures = _Textures(gl, scene, view.pixel)
            self._rests = np.concatenate([surface.places for surface in scene.surfaces])
            self._places = gl.buffer(self._rests.tobytes(), dynamic=True)
            start = 0
            self._pieces = []
            for surface in scene.surfaces:
                program = self._programs[surface.lit]
                self._pieces.append(
                    _Piece(gl, program, self._points, self._places, surface, start, view.pixel, textures)
                )
                start += len(surface.points)

    def drawn(self, posed: NDArray[np.float32], turned: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the box as RGB [h, w, 3]."""
        import moderngl

        with self._context as gl:
            self._points.write(posed)
            for program in self._programs.values():
                _set(program, turned=turned.T.tobytes())
            self._frame.use()
            self._frame.clear(depth=1.0)
            gl.enable_only(0)
            if self._behind is not None:
                self._behind.draw()
            gl.enable_only(moderngl.DEPTH_TEST)
            gl.blend_func = moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA
            gl.front_face = "cw"  # the picture is upside down
            towards = turned[2, :3]  # the viewer, seen from the turned head
            for piece in self._pieces:
                piece.draw(gl)
            for piece in self._pieces:
                piece.fade(gl, posed, towards)
            content = self._frame.read(components=3, alignment=1)
        return np.frombuffer(content, np.uint8).reshape(self._height, self._width, 3)

    def clip(self, clip: ClipOf, mesh: _Mesh) -> Clip:
        """Return the clip, its frames as large as the photograph's texture; raises DamagedAvatar."""
        photograph = self._textures.photograph()
        found = clip(photograph.size)
        if found.vertices != mesh.count:
            raise DamagedAvatar(f"the clip moves {found.vertices} vertices of {mesh.count}; register it again")
        return found

    def show(self, frame: Frame) -> None:
        """Let the photograph be ``frame``."""
        with self._context:
            self._textures.photograph().write(np.ascontiguousarray(frame.pixels), alignment=1)
            self._places.write((self._rests + frame.places).astype(np.float32))

    def close(self) -> None:
        self._context.release()


def _set(program: Any, **values: bytes) -> None:
    """Set those of the uniforms ``values`` that the compiler left in ``program``."""
    for name, value in values.items():
        if name in program:
            program[name].write(value)


class _Wall:
    """The background of a head, within the box."""

    def __init__(self, gl: Any, canvas: NDArray[np.uint8]) -> None:
        height, width, _ = canvas.shape
        self._texture = gl.texture((width, height), 3, np.ascontiguousarray(canvas).tobytes(), alignment=1)
        program = gl.program(
            "#version 330\nin vec2 at; out vec2 uv; void main() { uv = at * 0.5 + 0.5; gl_Position = vec4(at, 0, 1); }",
            "#version 330\nuniform sampler2D picture; in vec2 uv; out vec4 c;"
            " void main() { c = vec4(texture(picture, uv).rgb, 1); }",
        )
        corners = gl.buffer(np.array([-1, -1, 3, -1, -1, 3], np.float32).tobytes())
        self._triangle = gl.vertex_array(program, [(corners, "2f", "at")])

    def draw(self) -> None:
        self._texture.use(0)
        self._triangle.render()


class _Piece:
    """A surface, ready to be drawn.

    Args:
        start: of its points among all.
        pixel: the size of one in the scene.
    """

    def __init__(
        self,
        gl: Any,
        program: Any,
        points: Any,
        places: Any,
        surface: Surface,
        start: int,
        pixel: float,
        textures: _Textures,
    ) -> None:
        self._program = program
        self._surface = surface
        self._look = _LOOKS.get(surface.name, _Look())
        self._rows = slice(start, start + len(surface.points))
        self._swell = SWELL * pixel
        self._fades = surface.lit and (surface.blended or surface.name == SKIN)
        colours = _faded(surface) if surface.lit and surface.name == SKIN else surface.colours
        self._partly = (colours[surface.triangles, 3] < WHOLE).any(axis=1)
        padded = np.zeros((start + len(colours), 4), np.float32)
        padded[start:] = colours
        fixed = gl.buffer(padded.tobytes())
        content = [
            _attributes(program, points, point=3, normal=3),
            _attributes(program, fixed, colour=4),
        ]
        if "place" in program:
            content.append(_attributes(program, places, place=2))
        index = (surface.triangles + start).astype(np.int32)
        self._whole = gl.vertex_array(program, content, gl.buffer(index.tobytes()))
        self._index = index
        self._some = gl.buffer(reserve=index.nbytes, dynamic=True)
        self._outline = gl.vertex_array(program, content, self._some)
        self._texture = None if surface.texture is None else textures.of(surface.texture)

    def draw(self, gl: Any) -> None:
        """Draw what is whole of it; of an unlit one, all."""
        self._prepare(gl, blended=self._surface.blended and not self._surface.lit, fading=False)
        self._whole.render()

    def fade(self, gl: Any, posed: NDArray[np.float32], towards: NDArray[np.float32]) -> None:
        """Draw what fades of it: its outline, as seen from ``towards`` [3], and what is not whole."""
        if not self._fades:
            return
        facing = (posed.reshape(-1, 6)[self._rows, 3:] @ towards)[self._surface.triangles]
        aside = (facing.min(axis=1) < ASIDE) & (facing.max(axis=1) > -ASIDE)
        chosen = self._index[aside | self._partly]
        if len(chosen):
            self._prepare(gl, blended=True, fading=True)
            self._some.write(chosen)
            self._outline.render(vertices=chosen.size)

    def _prepare(self, gl: Any, *, blended: bool, fading: bool) -> None:
        import moderngl

        surface, program = self._surface, self._program
        flags = moderngl.DEPTH_TEST
        if blended:
            flags |= moderngl.BLEND
        if surface.lit and not surface.two_sided:
            flags |= moderngl.CULL_FACE
        gl.enable_only(flags)
        if surface.lit:
            program["gloss"].value, program["sheen"].value = self._look.gloss, self._look.sheen
            program["shade"].value = self._look.shade
            program["fading"].value, program["swell"].value = fading, self._swell if fading else 0.0
            return
        program["textured"].value = self._texture is not None
        if self._texture is not None:
            self._texture.use(0)


def _attributes(program: Any, buffer: Any, **sizes: int) -> tuple[Any, ...]:
    """Return ``buffer``, rows of floats, as the attributes ``sizes`` of which the compiler left some in ``program``."""
    layout = " ".join(f"{size}f" if name in program else f"{4 * size}x" for name, size in sizes.items())
    return (buffer, layout, *(name for name in sizes if name in program))


class _Textures:
    """Pictures on the graphics side, each there once, and none much finer than it is seen: that would flicker."""

    def __init__(self, gl: Any, scene: Scene, pixel: float) -> None:
        self._gl = gl
        self._photograph = scene.photograph
        self._share = 1.0
        if scene.frame is not None and scene.size is not None:
            self._share = (scene.frame[2] - scene.frame[0]) / scene.size[0] / pixel
        self._made: dict[int, Any] = {}

    def photograph(self) -> Any:
        """Return the texture of an avatar's photograph."""
        assert self._photograph is not None  # noqa: S101  # an avatar, then
        return self.of(self._photograph)

    def of(self, pixels: NDArray[np.uint8]) -> Any:
        """Return the texture of ``pixels`` [h, w, 3 or 4], which live as long as the scene."""
        if id(pixels) not in self._made:
            self._made[id(pixels)] = self._texture(pixels)
        return self._made[id(pixels)]

    def _texture(self, pixels: NDArray[np.uint8]) -> Any:
        import moderngl

        height, width, channels = pixels.shape
        if pixels is self._photograph and self._share < FINER:
            width, height = (max(1, round(side * self._share)) for side in (width, height))
            pixels = filled(pixels, (width, height))
        texture = self._gl.texture((width, height), channels, np.ascontiguousarray(pixels).tobytes(), alignment=1)
        texture.filter = moderngl.LINEAR, moderngl.LINEAR
        texture.repeat_x = texture.repeat_y = False
        return texture


def _faded(skin: Surface) -> NDArray[np.float32]:
    """Return the colours of a head's skin: the neck is cut, so it ends in nothing; what goes with the jaw stays."""
    out = skin.colours.copy()
    moved = np.linalg.norm(skin.moves[INDEX["jawOpen"]], axis=1)
    out[:, 3] = np.maximum(_smoothstep(skin.points[:, 1], *NECK_M), _smoothstep(moved, 0.001, 0.004))
    return out


def _smoothstep(x: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
