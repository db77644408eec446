"""Failures of an export. Each has its class; each message has the value and what is accepted.

::

    ExportError
    ├── CheckpointError
    │   ├── CheckpointNotFound       no file of that name
    │   ├── CheckpointUnreadable     a file that torch cannot load (corrupt, something else)
    │   │   ├── CheckpointTruncated      a download that was cut off
    │   │   ├── CheckpointUnpacked       a torch file that was itself unpacked: once too often
    │   │   └── WebPage                  a page or a pointer in place of the file
    │   ├── NotACheckpoint           it loads, but is not a mapping of names to tensors
    │   ├── AnotherNetwork           the weights of another network than was said
    │   ├── CheckpointMismatch       missing, unexpected or misshapen keys, every one of them named
    │   ├── CheckpointNotFinite      weights that are NaN or infinite
    │   └── InvalidAttentionHeads    a number of heads that does not divide the hidden size
    ├── RendererError
    │   ├── RendererMismatch         weights of another network than the named renderer
    │   └── RendererRefused          a graph that cannot be served as the named renderer
    ├── RepositoryError
    │   ├── NotARepository           a folder with other things in it, which an export must not replace
    │   └── RepositoryNotWritable    a place where nothing can be written
    ├── UnsupportedPrecision         weights that are not made for the asked precision
    ├── InvalidEmotionNames      names for detected emotions that are not as many as there are, or not names
    ├── CalibrationUnreadable        a file given as speech that is not speech
    ├── GraphExportFailed            torch could not write a module as ONNX
    ├── ValidationError
    │   ├── NamesDiffer              a graph's inputs or outputs are not the contract's
    │   ├── ShapesDiffer             a tensor of another shape or type than the contract's
    │   └── ValuesDiffer             numbers further from torch's than the tolerance
    └── TensorRTError
        ├── TensorRTMissing          neither trtexec nor polygraphy is installed
        └── PlanBuildFailed          the tool ran, and failed
"""

from __future__ import annotations


class ExportError(Exception):
    """An export that cannot be done as asked; nothing was replaced."""


class CheckpointError(ExportError):
    """A checkpoint that cannot be used."""


class CheckpointNotFound(CheckpointError):
    """The file does not exist."""


class CheckpointUnreadable(CheckpointError):
    """torch cannot load the file."""


class CheckpointTruncated(CheckpointUnreadable):
    """The file, or the archive around it, ends too soon."""


class CheckpointUnpacked(CheckpointUnreadable):
    """A part of a torch file, which was unpacked once too often."""


class WebPage(CheckpointUnreadable):
    """A failed download's leavings: a page, or a pointer to the file."""


class AnotherNetwork(CheckpointError):
    """A checkpoint of another network than the one that was named."""


class NotACheckpoint(CheckpointError):
    """The file loads, but holds no mapping of names to tensors."""


class CheckpointMismatch(CheckpointError):
    """Keys that are missing, unexpected or misshapen."""

    def __init__(
        self, missing: list[str], unexpected: list[str], misshapen: list[str], layout: str = "EmoTalk"
    ) -> None:
        self.missing = missing
        """Names that the network needs and the checkpoint lacks."""
        self.unexpected = unexpected
        """Names in the checkpoint that the network has no use for."""
        self.misshapen = misshapen
        """``name: (found shape), needs (shape)`` each."""
        parts = [
            f"{len(keys)} {kind}: {'; '.join(keys)}"
            for kind, keys in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
            if keys
        ]
        super().__init__(f"the checkpoint does not fit {layout}'s layout. " + ". ".join(parts))


class CheckpointNotFinite(CheckpointError):
    """Weights that are NaN or infinite."""


class InvalidAttentionHeads(CheckpointError):
    """A number of attention heads that does not divide the hidden size."""


class RendererError(ExportError):
    """A neural renderer that cannot be used."""


class RendererMismatch(RendererError):
    """A checkpoint with the weights of another network than the named renderer."""


class RendererRefused(RendererError):
    """A graph whose inputs and outputs are not those of the named renderer, or which does not run."""


class RepositoryError(ExportError):
    """A repository folder that cannot be written."""


class NotARepository(RepositoryError):
    """The folder holds something that this export did not write and must not replace."""


class RepositoryNotWritable(RepositoryError):
    """Nothing can be written there."""


class UnsupportedPrecision(ExportError):
    """These weights are not exported in the asked precision."""


class InvalidEmotionNames(ExportError):
    """Names for detected emotions that are not as many as the checkpoint has, or not names."""


class CalibrationUnreadable(ExportError):
    """No speech can be had from what was given as such."""


class GraphExportFailed(ExportError):
    """torch could not write a module as ONNX."""


class ValidationError(ExportError):
    """A graph that is not what torch computes."""


class NamesDiffer(ValidationError):
    """A graph's inputs or outputs have other names than the contract's."""


class ShapesDiffer(ValidationError):
    """A tensor has another shape or type than the contract's."""


class ValuesDiffer(ValidationError):
    """Numbers further from torch's than the tolerance."""

    def __init__(self, message: str, largest: float) -> None:
        super().__init__(message)
        self.largest = largest
        """Largest absolute difference."""


class TensorRTError(ExportError):
    """A TensorRT plan that could not be built."""


class TensorRTMissing(TensorRTError):
    """No tool that builds plans is installed."""


class PlanBuildFailed(TensorRTError):
    """The tool that builds plans failed."""
