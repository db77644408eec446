"""``.usd``, ``.usdc`` (binary) and ``.usda`` (text): the client's head and its animation in OpenUSD.

A UsdSkel root with the head's parts as meshes, each with the blend shapes that move it, and one animation with all 52
weights at the clip's own rate. A mesh names its shapes, the animation names its own order: names decide. Needs
usd-core (`emotalk-triton[formats]`).
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import MissingExtra
from emotalk_client.faces import head
from emotalk_client.faces.formats import usd_samples
from emotalk_client.faces.formats.faults import Fault, check_ascending, check_finite
from emotalk_client.faces.formats.files import content_of
from emotalk_client.faces.formats.names import arranged
from emotalk_client.faces.formats.rates import rate_of
from emotalk_client.faces.resampling import is_rate
from emotalk_client.faces.track import MAX_FRAMES, Track
from emotalk_contract.arkit import BLENDSHAPES

log = logging.getLogger(__name__)

ROOT = "/Head"
TIMEOUT_S = 120
"""Seconds for OpenUSD to read a file."""


def check() -> None:
    """Raise :class:`MissingExtra` where usd-core is not installed."""
    try:
        import pxr  # noqa: F401  # only whether it is there
    except ImportError as error:
        raise MissingExtra("USD needs usd-core; install `emotalk-triton[formats]`") from error


def write(track: Track, path: Path) -> None:
    """Write the head with the animation, which begins at 0 and keeps gaps."""
    check()
    from pxr import Usd

    # USD writes by names, in its own way and with its own errors: it gets a folder of its own.
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / f"face{path.suffix.lower()}"
        stage = Usd.Stage.CreateNew(str(made))
        _build(stage, track)
        stage.GetRootLayer().Save()
        path.write_bytes(made.read_bytes())


def read(path: Path, fps: float | None = None) -> Track:
    """Read the first UsdSkel animation; its shapes by name, its rate by its time samples."""
    check()
    names, weights, times, clock = _samples(path)
    check_finite(weights, names, "frame")
    seconds = times / clock
    check_ascending(seconds, "frame")
    rate = rate_of(seconds, clock if is_rate(clock) else fps)
    return Track(arranged(weights, names), seconds, rate)


def _samples(path: Path) -> tuple[list[str], NDArray[np.float32], NDArray[np.float64], float]:
    """Names, weights [F, N], time codes [F] and time codes per second, as :mod:`.usd_samples` reads them."""
    content = content_of(path)
    with tempfile.TemporaryDirectory() as folder:
        copy, result = Path(folder) / f"face{path.suffix.lower()}", Path(folder) / "samples.npz"
        copy.write_bytes(content)
        command = [sys.executable, usd_samples.__file__, str(copy), str(result), str(MAX_FRAMES)]
        there = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"}
        try:
            done = subprocess.run(command, env=there, capture_output=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise Fault(f"OpenUSD needs more than {TIMEOUT_S} s to read it") from error
        if done.returncode == usd_samples.REFUSED:
            raise Fault(done.stdout.decode("utf-8", "replace"))
        if done.returncode:
            log.debug("OpenUSD: %s", done.stderr[-2000:].decode("utf-8", "replace"))
            raise Fault(f"OpenUSD fails on it (status {done.returncode})")
        with np.load(result, allow_pickle=False) as found:
            return found["names"].tolist(), found["weights"], found["times"], float(found["clock"])


def _build(stage: Any, track: Track) -> None:
    from pxr import Gf, UsdGeom, UsdSkel, Vt

    times = np.round(track.seconds * track.fps, 6)
    stage.SetTimeCodesPerSecond(track.fps)
    stage.SetFramesPerSecond(track.fps)
    if len(track):
        stage.SetStartTimeCode(float(times[0]))
        stage.SetEndTimeCode(float(times[-1]))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    root = UsdSkel.Root.Define(stage, ROOT)
    stage.SetDefaultPrim(root.GetPrim())

    # Blend shapes live in a skeleton's world; one still joint is the least that a skeleton may have.
    skeleton = UsdSkel.Skeleton.Define(stage, f"{ROOT}/Skeleton")
    still = Vt.Matrix4dArray([Gf.Matrix4d(1.0)])
    skeleton.CreateJointsAttr(["head"])
    skeleton.CreateBindTransformsAttr(still)
    skeleton.CreateRestTransformsAttr(still)

    clip = UsdSkel.Animation.Define(stage, f"{ROOT}/Animation")
    clip.CreateBlendShapesAttr(list(BLENDSHAPES))
    weights = clip.CreateBlendShapeWeightsAttr()
    for time, row in zip(times, track.weights, strict=True):
        weights.Set(Vt.FloatArray.FromNumpy(np.ascontiguousarray(row, np.float32)), float(time))
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([clip.GetPath()])

    for part in head.parts():
        _mesh(stage, part, skeleton.GetPath())
    stage.GetRootLayer().customLayerData = {"creator": "emotalk-triton", "head": "MakeHuman, CC0 1.0"}


def _mesh(stage: Any, part: head.Part, skeleton: Any) -> None:
    """Define the mesh of ``part`` with its material and blend shapes."""
    from pxr import UsdGeom, UsdShade, UsdSkel, Vt

    mesh = UsdGeom.Mesh.Define(stage, f"{ROOT}/{part.name}")
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(part.points))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(part.triangles.ravel().astype(np.int32)))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(part.triangles), 3, np.int32)))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(part.normals))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    box = np.stack([part.points.min(axis=0), part.points.max(axis=0)])
    mesh.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(box))
    mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex).Set(
        Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(part.colours[:, :3]))
    )
    mesh.CreateDisplayOpacityPrimvar(UsdGeom.Tokens.vertex).Set(
        Vt.FloatArray.FromNumpy(np.ascontiguousarray(part.colours[:, 3]))
    )
    UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(_material(stage, part))

    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton])
    binding.CreateJointIndicesPrimvar(constant=True, elementSize=1).Set([0])
    binding.CreateJointWeightsPrimvar(constant=True, elementSize=1).Set([1.0])
    shapes = []
    for name, move in part.moves.items():
        shape = UsdSkel.BlendShape.Define(stage, mesh.GetPath().AppendChild(name))
        shape.CreateOffsetsAttr(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(move.offsets)))
        shape.CreatePointIndicesAttr(Vt.IntArray.FromNumpy(move.vertices.astype(np.int32)))
        shapes.append(shape.GetPath())
    binding.CreateBlendShapesAttr(list(part.moves))
    binding.CreateBlendShapeTargetsRel().SetTargets(shapes)


def _material(stage: Any, part: head.Part) -> Any:
    """A UsdPreviewSurface in the colours of the vertices."""
    from pxr import Sdf, UsdShade

    material = UsdShade.Material.Define(stage, f"{ROOT}/Materials/{part.name}")
    colour = UsdShade.Shader.Define(stage, material.GetPath().AppendChild("Colour"))
    colour.CreateIdAttr("UsdPrimvarReader_float3")
    colour.CreateInput("varname", Sdf.ValueTypeNames.String).Set("displayColor")
    surface = UsdShade.Shader.Define(stage, material.GetPath().AppendChild("Surface"))
    surface.CreateIdAttr("UsdPreviewSurface")
    result = colour.CreateOutput("result", Sdf.ValueTypeNames.Float3)
    surface.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).ConnectToSource(result)
    surface.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(part.roughness)
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", Sdf.ValueTypeNames.Token))
    return material
