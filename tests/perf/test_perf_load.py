"""perf_analyzer against a real server: that it comes, that its figures can be right, that every failure has a name."""

import base64
import csv
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from emotalk_client.audio.loading import load as load_audio
from emotalk_client.errors import InvalidAddress, ServerUnavailable, UnwritableFile
from emotalk_contract import tensors
from emotalk_contract.errors import AudioTooLong, AudioTooShort
from emotalk_contract.recipe import Manifest
from emotalk_contract.repository import bundled
from emotalk_perf import analyzer as analyzers
from emotalk_perf import install, load, windows
from emotalk_perf.analyzer import Analyzer
from emotalk_perf.cli import app
from emotalk_perf.endpoint import Endpoint
from emotalk_perf.errors import (
    AnalyzerFailed,
    AnalyzerTimeout,
    AnalyzerUnusable,
    DownloadFailed,
    NotStable,
    UnexpectedReport,
    UnsuitableMachine,
)
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.server

SAMPLE = Path(__file__).parents[2] / "docs" / "demo" / "voice.flac"
STEPS = [model.name for model in tensors.STEPS]


def found(find):
    try:
        return find()
    except (DownloadFailed, UnsuitableMachine) as error:
        pytest.skip(f"no perf_analyzer can be had here: {error}")


@pytest.fixture(scope="module")
def analyzer():
    return found(install.find)


@pytest.fixture(scope="module")
def clip():
    return load_audio(SAMPLE)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """No perf_analyzer in the cache or on PATH."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(install, "on_path", lambda: None)
    return tmp_path / "cache"


TRIES = 4
"""Of a measurement that perf_analyzer finds too restless: others may be busy on this machine."""

# The measurement ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(analyzer, bundled_server, tmp_path_factory):
    """The command's output, page, CSV lines and kept files: one second, 1 and 2 at once, both protocols."""
    folder = tmp_path_factory.mktemp("load")
    page = folder / "page.md"
    page.write_text("before\n<!-- load -->\n<!-- /load -->\n")
    arguments = ["load", SAMPLE, "--url", bundled_server.grpc_url, "--http-url", bundled_server.http_url]
    arguments += ["--seconds", "1", "--concurrency", "1,2", "--requests", "10"]
    arguments += ["--csv", folder / "load.csv", "--page", page, "--plot", folder / "load.png", "--keep", folder]
    for _ in range(TRIES):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        if "NotStable" not in page.read_text():  # which is the machine's doing, and no mistake of anybody's
            break
    assert result.exit_code == 0, result.output + page.read_text()
    with (folder / "load.csv").open(newline="") as file:
        return result, page.read_text(), list(csv.DictReader(file)), folder


def number(line, column):
    return float(line[column])


def test_every_combination_has_its_line(measured):
    lines = measured[2]
    assert [(line["protocol"], line["window_s"], line["concurrency"]) for line in lines] == [
        *(("grpc", "1.0", "1"), ("grpc", "1.0", "2"), ("http", "1.0", "1"), ("http", "1.0", "2")),
    ]
    assert {line["errors"] for line in lines} == {"0"}
    assert {line["precision"] for line in lines} == {Manifest.load(bundled()).precision}


def test_rate_and_latency_belong_together(measured):
    for line in measured[2]:
        # Little's law: what is inside = rate x time inside. It holds for wrong units of neither.
        inside = number(line, "windows_per_s") * number(line, "average_ms") / 1000
        assert inside == pytest.approx(number(line, "concurrency"), rel=0.1)
        assert number(line, "speech_s_per_s") == pytest.approx(number(line, "windows_per_s") * 1.0)
        percentiles = [number(line, f"p{share}_ms") for share in (50, 90, 95, 99)]
        assert percentiles == sorted(percentiles)
        assert percentiles[0] < 2 * number(line, "average_ms")
        assert number(line, "requests") >= 3 * 10


def test_the_steps_are_the_ensembles_and_make_up_its_latency(measured):
    for line in measured[2]:
        assert [column.removesuffix("_queue_ms") for column in line if column.endswith("_queue_ms")] == STEPS
        parts = {
            step: [number(line, f"{step}_{part}_ms") for part in ("queue", "input", "infer", "output")]
            for step in STEPS
        }
        assert all(infer > 0 for _, _, infer, _ in parts.values())
        # The emotion encoder runs beside the content's, and while a step hands out its result the next one has begun.
        in_turn = sum(sum(parts[step][:3]) for step in STEPS if step != tensors.EMOTION_ENCODER.name)
        assert 0.5 * number(line, "average_ms") < in_turn < 1.1 * number(line, "average_ms")


def test_the_page_has_tables_and_the_commands_as_they_were_run(measured):
    result, page, lines, folder = measured
    assert page.count("| fp32 | 1 s | grpc | 1 |") == page.count("| fp32 | 1 s | http | 2 |") == 2  # figures, steps
    assert "perf_analyzer" in page
    for line in lines:
        assert line["command"] in page
        assert line["command"] in result.stderr
        assert (folder / re.search(r"-f (\S+)", line["command"])[1]).is_file()  # so that it can be repeated there
    first, step = lines[0], STEPS[2]
    queue, *compute = (number(first, f"{step}_{part}_ms") for part in ("queue", "input", "infer", "output"))
    assert f"| {queue:.1f} + {sum(compute):.1f} |" in page
    assert f"| {number(first, 'p99_ms'):.0f} ms | {first['requests']} | 0 |" in page


def test_the_picture_is_one(measured):
    assert (measured[3] / "load.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def unwatched_server():
    """A server without a supervisor, whose own inferences would count too."""
    with EmbeddedServer(supervised=False) as running:
        yield running


def test_requests_and_samples_are_those_that_triton_counts_and_that_the_clip_has(
    analyzer, unwatched_server, clip, tmp_path
):
    """perf_analyzer's own record of what it sent, in a run of exactly so many requests."""
    cut = windows.cut(clip, 0.1)
    windows.write(cut, tmp_path / "in.json")
    for endpoint in (Endpoint("grpc", unwatched_server.grpc_url), Endpoint("http", unwatched_server.http_url)):
        before = endpoint.counts()
        arguments = ["-m", "emotalk", "-i", endpoint.protocol, "-u", endpoint.address, "--input-data", "in.json"]
        arguments += ["--request-count", "20", "-f", "out.csv", "--verbose-csv", "--profile-export-file", "sent.json"]
        said = analyzer.run(arguments, tmp_path, 60)
        after = endpoint.counts()
        assert load.read(tmp_path / "out.csv", said).requests == after.succeeded - before.succeeded == 20
        assert after.failed == before.failed
        record = tmp_path / "sent.json"
        (experiment,) = json.loads(record.read_text())["experiments"]
        record.unlink()  # it refuses to write over one
        sent = [request["request_inputs"]["AUDIO"] for request in experiment["requests"]]
        for number_, samples in enumerate(sent):
            assert np.allclose(samples, cut[number_ % len(cut)], rtol=1e-4, atol=1e-7)  # it prints few digits
        assert np.ptp(sent[10]) > 0.01  # not all of it is silence


def test_both_protocols_tell_the_same_of_the_server(bundled_server):
    grpc, http = Endpoint("grpc", bundled_server.grpc_url), Endpoint("http", bundled_server.http_url)
    assert grpc.counts() == http.counts()
    assert grpc.counts().succeeded > 0
    assert load.describe(grpc) == load.describe(http)
    assert load.describe(grpc).model == Manifest.load(bundled()).model


def test_refused_requests_are_counted_and_named(analyzer, bundled_server, clip, tmp_path):
    endpoint = Endpoint("grpc", bundled_server.grpc_url)
    served = load.describe(endpoint)
    (row,) = load.run(
        analyzer,
        [endpoint],
        clip * np.float32(1e6),
        tmp_path,
        served=served,
        seconds=[0.5],
        concurrency=[2],
        requests=5,
    )
    assert row.figures is None
    assert row.errors >= 1
    assert row.failure.startswith("AnalyzerFailed")
    assert "AudioOutOfRange" in row.failure


def test_what_takes_too_long_is_a_line_without_figures_and_exit_status_1(analyzer, bundled_server, tmp_path):
    options = ["--http-url", bundled_server.http_url, "--seconds", "0.1", "--concurrency", "2", "--timeout", "1"]
    result = CliRunner().invoke(app, ["load", str(SAMPLE), *options, "--csv", str(tmp_path / "load.csv")])
    assert result.exit_code == 1
    assert "| fp32 | 0.1 s | http | 2 |  |  |  |  |  |  |  | 0 |" in result.stdout
    assert "- fp32, 0.1 s, http, 2 at once: AnalyzerTimeout: perf_analyzer did not end within 1 s" in result.stdout
    with (tmp_path / "load.csv").open(newline="") as file:
        (line,) = csv.DictReader(file)
    assert (line["requests"], line["errors"]) == ("", "0")
    assert line["failure"].startswith("AnalyzerTimeout")


# Input data --------------------------------------------------------------------------------------


def test_windows_are_the_clip_to_the_bit(clip, tmp_path):
    windows.write(windows.cut(clip, 0.7), tmp_path / "in.json")
    entries = [entry["AUDIO"] for entry in json.loads((tmp_path / "in.json").read_text())["data"]]
    assert {tuple(entry["shape"]) for entry in entries} == {(11_200,)}
    sent = b"".join(base64.b64decode(entry["content"]["b64"]) for entry in entries)
    assert len(entries) == 15
    assert np.array_equal(np.frombuffer(sent, np.float32), clip[: 15 * 11_200])


def test_a_short_clip_is_repeated(clip):
    (window,) = windows.cut(clip[:16_000], 2.5)
    assert np.array_equal(window, np.tile(clip[:16_000], 3)[:40_000])


@pytest.mark.parametrize(
    ("seconds", "kind"),
    [
        (0.044, AudioTooShort),
        (float("nan"), AudioTooShort),
        (-1, AudioTooShort),
        (167, AudioTooLong),
        (float("inf"), AudioTooLong),
    ],
)
def test_windows_that_no_request_can_carry_are_refused(clip, seconds, kind):
    with pytest.raises(kind, match="accepted"):
        windows.cut(clip, seconds)


def test_no_speech_is_refused():
    with pytest.raises(AudioTooShort, match="0 samples"):
        windows.cut(np.zeros(0, np.float32), 1)


# The tool ----------------------------------------------------------------------------------------


def test_it_installs_with_nothing_of_the_environment_and_is_found_the_second_time(empty_cache, monkeypatch):
    monkeypatch.setattr(install, "carried", lambda library: None)  # Debian's and NVIDIA's packages have to come
    first = found(install.find)
    assert first.binary.is_relative_to(empty_cache)
    first.prove()
    assert [path.name for path in empty_cache.rglob("*") if path.name.startswith(".installing")] == []
    with monkeypatch.context() as second:
        second.setattr(install, "install", lambda: pytest.fail("installed a second time"))
        assert install.find() == first
    for library in first.libraries.iterdir():
        library.unlink()
    found(install.find).prove()  # what has lost its libraries is installed again


def test_libraries_that_a_package_carries_are_found_under_their_builds_names():
    for library in install.FALLBACKS:
        path = install.carried(library)
        assert path is not None
        assert path.read_bytes().startswith(b"\x7fELF")
    assert install.carried("libb64.so.1d") is None


def test_another_wheel_than_the_pinned_one_is_refused(tmp_path):
    wheel = install.Wheel(install.TOOL.project, install.TOOL.version, "0" * 64, install.TOOL.member)
    with pytest.raises(DownloadFailed, match=r"tritonclient==2\.50\.0 could not be fetched .* Accepted"):
        wheel.fetch(tmp_path)


def test_without_a_network_it_says_what_could_not_be_fetched(empty_cache, monkeypatch):
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(empty_cache), "PIP_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DownloadFailed, match="tritonclient"):
        install.find()
    assert not any(path.is_file() for path in empty_cache.rglob("*"))


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="no apt here")
def test_a_package_that_debian_does_not_have(tmp_path):
    with pytest.raises(DownloadFailed, match="libnone could not be fetched with apt-get"):
        install.from_debian("libnone", "libnone.so.1", tmp_path)


def test_other_machines_are_told(empty_cache, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "sparc64")
    with pytest.raises(UnsuitableMachine, match="sparc64"):
        install.find()


def test_a_cache_that_cannot_be_written(empty_cache):
    empty_cache.write_text("a file where the folder should be")
    with pytest.raises(UnwritableFile, match="emotalk-triton"):
        install.find()


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_one_on_path_comes_first_but_only_if_it_starts(analyzer, tmp_path, monkeypatch):
    libraries = analyzer.environment().get("LD_LIBRARY_PATH", "")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    ours = script(tmp_path / "perf_analyzer", f'LD_LIBRARY_PATH="{libraries}" exec "{analyzer.binary}" "$@"')
    assert install.find().binary == ours
    script(ours, "echo 'version GLIBC_2.38 not found' >&2; exit 1")
    assert analyzers.on_path() is None


def test_a_binary_that_is_missing_or_does_not_start(tmp_path):
    with pytest.raises(AnalyzerUnusable, match="none"):
        Analyzer(tmp_path / "none", "").prove()
    with pytest.raises(AnalyzerUnusable, match="none"):
        Analyzer(tmp_path / "none", "").run([], tmp_path, 1)
    with pytest.raises(AnalyzerUnusable, match=r"GLIBC_2\.38 not found"):
        Analyzer(script(tmp_path / "old", "echo 'version GLIBC_2.38 not found' >&2; exit 1"), "").prove()


def test_an_option_that_it_refuses_is_named_without_its_manual(analyzer, tmp_path):
    with pytest.raises(AnalyzerFailed) as refused:
        analyzer.run(["-m", "emotalk", "-s", "nope"], tmp_path, 10)
    assert str(refused.value) == "exit status 99: Error: Failed to parse -s. Invalid value provided: nope"


def test_one_that_does_not_end_is_ended(tmp_path):
    with pytest.raises(AnalyzerTimeout, match=r"0\.2 s"):
        Analyzer(Path(shutil.which("sleep")), "").run(["60"], tmp_path, 0.2)


def test_one_that_is_ended_may_wait_for_its_requests(tmp_path, monkeypatch):
    waiting = "trap 'kill $!; touch done; exit' INT; sleep 60 >&- 2>&- & touch ready; wait"
    communicate = subprocess.Popen.communicate

    def until_it_waits(process, timeout=None):
        """Time is up when the program is ready to be interrupted, however long that takes."""
        monkeypatch.setattr(subprocess.Popen, "communicate", communicate)
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        raise subprocess.TimeoutExpired(process.args, timeout)

    monkeypatch.setattr(subprocess.Popen, "communicate", until_it_waits)
    with pytest.raises(AnalyzerTimeout):
        Analyzer(script(tmp_path / "patient", waiting), "").run([], tmp_path, 0.2)
    assert (tmp_path / "done").is_file()


def test_measurements_that_differ_are_no_figure(analyzer, bundled_server, clip, tmp_path):
    windows.write(windows.cut(clip, 0.1), tmp_path / "in.json")
    arguments = ["-m", "emotalk", "-i", "grpc", "-u", bundled_server.grpc_url, "--input-data", "in.json"]
    with pytest.raises(NotStable):
        analyzer.run([*arguments, "-p", "200", "-r", "3", "-s", "0.000001"], tmp_path, 60)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_server_that_is_not_there(analyzer, clip, tmp_path, protocol):
    endpoint = Endpoint(protocol, "127.0.0.1:1")
    for question in (endpoint.parameters, endpoint.counts):
        with pytest.raises(ServerUnavailable, match="no server answers"):
            question()
    (row,) = load.run(analyzer, [endpoint], clip, tmp_path, served=load.Served("", ""), seconds=[0.1], concurrency=[1])
    assert row.figures is None
    assert row.errors is None  # nobody could be asked
    assert re.search("AnalyzerFailed: .*connect", row.failure)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_loopback_is_not_asked_through_a_proxy(bundled_server, monkeypatch, protocol):
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    address = bundled_server.grpc_url if protocol == "grpc" else bundled_server.http_url
    assert Endpoint(protocol, address).parameters()


def test_addresses_are_checked():
    with pytest.raises(InvalidAddress, match="http endpoint"):
        Endpoint("http", "http://localhost:8000")


# Its reports -------------------------------------------------------------------------------------

SAID = "Request concurrency: 1\n  Client: \n    Request count: 7\n  Server: \n    Inference count: 8\n"


def reports(folder):
    """What perf_analyzer writes, by hand: microseconds."""
    head = "Concurrency,Inferences/Second,Server Queue,Server Compute Input,Server Compute Infer,Server Compute Output"
    (folder / "r.csv").write_text(
        f"{head},p50 latency,p90 latency,p95 latency,p99 latency,Avg latency\n2,12.5,1,2,3,4,5000,9000,9500,9900,6000\n"
    )
    for place, step in enumerate(STEPS):
        (folder / f"{step}_v1.r.csv").write_text(f"{head}\n2,12.5,{place},20,3000,40\n")


def test_a_report_is_read(tmp_path):
    reports(tmp_path)
    figures = load.read(tmp_path / "r.csv", SAID)
    assert (figures.requests, figures.windows_per_s, figures.average) == (7, 12.5, 6.0)
    assert figures.percentiles == (5.0, 9.0, 9.5, 9.9)
    assert [step.queue for step in figures.steps.values()] == [0.0, 0.001, 0.002, 0.003, 0.004, 0.005]
    assert figures.steps[STEPS[0]].compute == pytest.approx(3.06)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "r.csv").unlink(), "not a report"),
        (lambda folder: (folder / "r.csv").write_text("Concurrency\n"), "not a report"),
        (lambda folder: (folder / "r.csv").write_text("Concurrency\n1\n"), "no column 'Inferences/Second'"),
        (lambda folder: (folder / f"{STEPS[2]}_v1.r.csv").unlink(), STEPS[2]),
    ],
)
def test_a_report_that_lacks_something_is_said_to(tmp_path, spoil, words):
    reports(tmp_path)
    spoil(tmp_path)
    with pytest.raises(UnexpectedReport, match=words):
        load.read(tmp_path / "r.csv", SAID)


def test_output_without_a_count_is_no_report(tmp_path):
    reports(tmp_path)
    with pytest.raises(UnexpectedReport, match="Request count"):
        load.read(tmp_path / "r.csv", SAID.replace("Client", "Someone"))


def test_an_older_runs_report_does_not_pass_for_this_ones(bundled_server, clip, tmp_path):
    """Of a perf_analyzer that writes nothing, where another wrote before."""
    endpoint = Endpoint("grpc", bundled_server.grpc_url)
    reports(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / path.name.replace("r.csv", "grpc-1s-1.csv"))
    silent = Analyzer(script(tmp_path / "silent", f"printf '{SAID}'".replace("\n", "\\n")), "")
    with pytest.raises(UnexpectedReport):
        list(load.run(silent, [endpoint], clip, tmp_path, served=load.Served("", ""), seconds=[1.0], concurrency=[1]))
    assert not list(tmp_path.glob("*.csv"))


# The command -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--protocol", "ftp"], "'ftp'; accepted: grpc, http"),
        (["--protocol", "http", "--url", "localhost:1"], "'http'; accepted: grpc"),
        (["--concurrency", "1,0"], "accepted: numbers with commas"),
        (["--seconds", "1;5"], "accepted: numbers with commas"),
        (["--url", "localhost:1", "--repository", "models"], "a running server has its own"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    result = CliRunner().invoke(app, ["load", str(SAMPLE), *options])
    assert result.exit_code == 2
    assert words in " ".join(re.sub("[│╭╮╰╯─]", " ", result.output).split())


def test_a_page_without_the_block_is_refused_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(install, "find", lambda: pytest.fail("it went on"))
    page = tmp_path / "page.md"
    page.write_text("nothing")
    result = CliRunner().invoke(app, ["load", str(SAMPLE), "--page", str(page)])
    assert "0 blocks <!-- load -->" in str(result.exception)
    assert page.read_text() == "nothing"
