"""What several kinds of tests share: the seeded networks and where recorded references may be."""

import os
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS), str(TESTS / "helpers")]  # `import seeded`, `from fake import …` from every test

import tritonclient.grpc  # noqa: E402
import tritonclient.http  # noqa: E402
from broker import Broker  # noqa: E402
from infer import infer  # noqa: E402

import seeded  # noqa: E402
import seeded_lam  # noqa: E402
from emotalk_perf.bare import BareEnsemble  # noqa: E402
from emotalk_server import EmbeddedServer  # noqa: E402

collect_ignore = ["clients"]
"""Other people's packages, some with tests of their own."""
SEED = 7
"""Of every golden."""


MARKS = {"unit", "torch", "server", "browser", "network", "full"}
"""Exactly one of them at the top of each test module: what it needs, so that the quick ones can be asked for."""
NEED_A_SERVER = {"server", "bundled_server", "renderer_server", "grpc", "http", "broker"}
"""Fixtures that no quick test may ask for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test module whose mark is missing, doubled or untrue."""
    for item in items:
        marks = MARKS & {mark.name for mark in item.iter_markers()}
        if len(marks) != 1:
            said = ", ".join(sorted(marks)) or "none"
            raise pytest.UsageError(f"{item.nodeid} has the marks {said}; accepted: one of {', '.join(sorted(MARKS))}")
        if marks & {"unit", "torch"} and (asked := NEED_A_SERVER & set(getattr(item, "fixturenames", ()))):
            raise pytest.UsageError(f"{item.nodeid} is marked {marks.pop()} but asks for {', '.join(sorted(asked))}")


@pytest.fixture(scope="session")
def reference() -> Path | None:
    """A folder with goldens of recorded speech, which are not ours to ship; None unless EMOTALK_REFERENCE names it."""
    path = Path(os.environ.get("EMOTALK_REFERENCE", ""))
    return path if (path / "goldens_small").is_dir() else None


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small seeded network as a released checkpoint."""
    path = tmp_path_factory.mktemp("checkpoint") / "small.pth"
    seeded.checkpoint("small", SEED, path)
    return path


@pytest.fixture(scope="session")
def small_repository(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository exported from it, once for all tests; not to be changed.

    Beside it, ``small.txt`` lists its files as they were exported: Python leaves its caches there once it is served.
    """
    from emotalk_export.exporter import export

    path = tmp_path_factory.mktemp("repositories") / "small"
    export(small_checkpoint, path, attention_heads=4)
    names = [str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()]
    path.with_suffix(".txt").write_text("\n".join(names))
    return path


@pytest.fixture(scope="session")
def int8_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository of the small seeded network with outliers, in int8; not to be changed."""
    from emotalk_export.exporter import export

    folder = tmp_path_factory.mktemp("int8")
    checkpoint = seeded.checkpoint("small", SEED, folder / "outliers.pth", outliers=True)
    export(checkpoint, folder / "repository", attention_heads=4, precision="int8")
    return folder / "repository"


@pytest.fixture(scope="session")
def lam_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository of the small seeded LAM-A2E; not to be changed."""
    from emotalk_export.exporter import export

    folder = tmp_path_factory.mktemp("lam")
    checkpoint = seeded_lam.checkpoint("small", SEED, folder / "small.tar")
    heads = seeded_lam.ATTENTION_HEADS["small"]
    export(checkpoint, folder / "repository", layout="lam", attention_heads=heads, licence="Apache-2.0")
    return folder / "repository"


@pytest.fixture(scope="session")
def server(small_repository):
    """Triton serving the small seeded network."""
    with EmbeddedServer(small_repository) as running:
        yield running


@pytest.fixture(scope="session")
def bundled_server():
    """Triton serving the bundled face model."""
    with EmbeddedServer() as running:
        yield running


@pytest.fixture(scope="session")
def renderer_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeded checkpoints of the neural renderers, laid out as released ones are: ``wav2lip.pth`` and so on."""
    import seeded_renderers

    folder = tmp_path_factory.mktemp("renderer_checkpoints")
    for name in ("wav2lip", "unet328", "ave"):
        seeded_renderers.write(name, folder / f"{name}.pth")
    return folder


@pytest.fixture(scope="session")
def renderers(renderer_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is exported from them; not to be changed."""
    import seeded_renderers
    from emotalk_export.renderer import Given, export_renderers

    out = tmp_path_factory.mktemp("renderers") / "out"
    names = seeded_renderers.CONVENTIONS
    export_renderers({name: Given(renderer_checkpoints / f"{name}.pth", names[name]) for name in names}, out)
    return out


@pytest.fixture(scope="session")
def renderer_server(renderers: Path):
    """Triton serving the bundled face model and the seeded neural renderers."""
    with EmbeddedServer(renderers=renderers) as running:
        yield running


@pytest.fixture(scope="session")
def broker():
    """A Kafka-protocol broker; each test makes topics of its own."""
    with Broker() as running:
        yield running


@pytest.fixture(scope="session")
def pipeline(small_repository) -> BareEnsemble:
    """The same repository without Triton."""
    return BareEnsemble(small_repository)


@pytest.fixture
def grpc(server):
    """``grpc(parameters, AUDIO=...)`` over gRPC."""
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        yield lambda parameters=None, **inputs: infer(tritonclient.grpc, client, parameters, **inputs)


@pytest.fixture
def http(server):
    """``http(parameters, AUDIO=...)`` over HTTP."""
    with tritonclient.http.InferenceServerClient(server.http_url) as client:
        yield lambda parameters=None, **inputs: infer(tritonclient.http, client, parameters, **inputs)


@pytest.fixture(scope="session")
def speech():
    """26 s that stand in for a voice; [samples], 16 kHz."""
    return seeded.speechlike(416_000)


@pytest.fixture(scope="session")
def data() -> Path:
    return TESTS / "data"
