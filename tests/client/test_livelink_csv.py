"""Live Link Face recordings: ours as Unreal's importers read them, those of others as they were recorded."""

import csv

import numpy as np
import pytest
from livelink_recordings import NAMES, as_once_written, drop_frame, on_clock, table

from emotalk_client import Animation
from emotalk_client.errors import UnreadableAnimation
from emotalk_contract.arkit import BLENDSHAPES

pytestmark = pytest.mark.unit

RATES = (
    1,
    1.5,
    2,
    3,
    4,
    5,
    7,
    10,
    12,
    15,
    23.976,
    24,
    25,
    29.97,
    30,
    31,
    48,
    50,
    59.94,
    60,
    61,
    90,
    100,
    120,
    239,
    240,
)


def clip(frames, fps, start=0.0):
    weights = np.random.default_rng(0).uniform(0, 1, (frames, 52)).astype(np.float32)
    return Animation(weights, start + np.arange(frames) / fps, fps)


def load(tmp_path, text, encoding="utf-8", **options):
    path = tmp_path / "take.csv"
    path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return Animation.load(path, **options)


# What we write, as two published importers read it ---------------------------------------------


def fields(path):
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            hours, minutes, seconds, frames = row["Timecode"].split(":")
            yield (int(hours) * 60 + int(minutes)) * 60 + int(seconds), frames


def always_sixtieths(path):
    """The first importer's rule."""
    return np.array([whole + float(frames) / 60 for whole, frames in fields(path)])


def sixtieths_or_thirtieths(path, number):
    """The second importer's rule; ``number`` reads the frame number that it compares."""
    rows = list(fields(path))
    count = 60 if any(number(frames) > 30 for _, frames in rows) else 30
    return np.array([whole + float(frames) / count for whole, frames in rows])


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("start", [0.0, 0.25, 45_000.5])
def test_importers_for_unreal_read_every_rate_in_time(tmp_path, fps, start):
    face = clip(max(3, int(2.2 * fps)), fps, start)
    face.save(tmp_path / "face.csv")
    expected = face.timecodes
    np.testing.assert_allclose(always_sixtieths(tmp_path / "face.csv"), expected, atol=3e-5)
    for number in (float, lambda text: int(float(text))):
        times = sixtieths_or_thirtieths(tmp_path / "face.csv", number)
        shift = times[0] - expected[0] if fps == 1 else 0  # a row a second shows the same frame number each time
        np.testing.assert_allclose(times, expected + shift, atol=3e-5)
        assert (np.diff(times) > 0).all()


@pytest.mark.parametrize("fps", range(1, 241))
def test_every_whole_rate_is_in_time_and_read_back(tmp_path, fps):
    face = clip(int(1.1 * fps) + 2, fps)
    face.save(tmp_path / "face.csv")
    np.testing.assert_allclose(always_sixtieths(tmp_path / "face.csv"), face.timecodes, atol=3e-5)
    np.testing.assert_allclose(sixtieths_or_thirtieths(tmp_path / "face.csv", float), face.timecodes, atol=3e-5)
    loaded = Animation.load(tmp_path / "face.csv")
    assert loaded.fps == fps
    np.testing.assert_allclose(loaded.timecodes, face.timecodes, atol=3e-5)


def test_the_frame_field_keeps_to_a_second(tmp_path):
    clip(2000, 119.88).save(tmp_path / "face.csv")
    numbers = [float(frames) for _, frames in fields(tmp_path / "face.csv")]
    assert 59 < max(numbers) < 60
    assert all(len(frames) == 6 for _, frames in fields(tmp_path / "face.csv"))


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("frames", [1, 2, 3, 10, 400])
@pytest.mark.parametrize("start", [0.0, 0.25])
def test_what_we_write_is_read_back_at_its_rate(tmp_path, fps, frames, start):
    face = clip(frames, fps, start)
    face.save(tmp_path / "face.csv")
    loaded = Animation.load(tmp_path / "face.csv", fps=fps)
    unaided = Animation.load(tmp_path / "face.csv")
    np.testing.assert_allclose(loaded.timecodes, face.timecodes, atol=3e-5)
    np.testing.assert_allclose(loaded.weights, face.weights, atol=1e-6)
    if frames > 1:
        np.testing.assert_allclose(unaided.timecodes, face.timecodes, atol=3e-5)
        assert unaided.fps == pytest.approx(fps, rel=5e-3)  # 251 units may be 239 fps or 240
        if frames >= 10:
            assert unaided.fps == fps


def test_a_time_of_day_goes_past_midnight_and_stays(tmp_path):
    face = clip(90, 30, 86_399.0)
    face.save(tmp_path / "face.csv")
    with (tmp_path / "face.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [rows[i][0] for i in (1, 31, 61)] == ["23:59:59:00.000", "00:00:00:00.000", "00:00:01:00.000"]
    np.testing.assert_allclose(Animation.load(tmp_path / "face.csv").timecodes, face.timecodes, atol=3e-5)


@pytest.mark.parametrize("fps", [1, 10, 12, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240])
def test_files_that_we_wrote_once_are_read_as_they_were(tmp_path, fps):
    face = load(tmp_path, table(as_once_written(int(2.5 * fps) + 2, fps)))
    assert face.fps == fps
    np.testing.assert_allclose(face.timecodes, np.arange(len(face)) / fps, atol=1e-9)


@pytest.mark.parametrize("fps", [23.976, 29.97, 59.94])
def test_files_that_we_wrote_once_at_broken_rates_need_the_rate(tmp_path, fps):
    text = table(as_once_written(150, fps))
    np.testing.assert_allclose(load(tmp_path, text, fps=fps).timecodes, np.arange(150) / fps, atol=1e-9)
    assert load(tmp_path, text, fps=fps).fps == fps
    assert load(tmp_path, text).fps == np.ceil(fps)


def test_the_rate_of_a_short_file_is_guessed_as_importers_do_or_told(tmp_path):
    short = table(on_clock(range(15), 60))
    assert load(tmp_path, short).fps == 30
    assert load(tmp_path, short, fps=60).fps == 60
    np.testing.assert_allclose(load(tmp_path, short, fps=60).timecodes, np.arange(15) / 60)
    assert load(tmp_path, table(on_clock(range(40), 60))).fps == 60  # a number beyond 30


# Real recordings -------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [0.0, 44_867.784, 86_399.0])
@pytest.mark.parametrize("frames", [12, 60, 700])
def test_thirty_rows_a_second_on_a_clock_of_sixty_are_thirty_fps(tmp_path, start, frames):
    face = load(tmp_path, table(on_clock(np.arange(frames) * 2, 60, start=start, fraction="169")))
    assert (len(face), face.fps) == (frames, 30)
    assert face.duration_s == pytest.approx(frames / 30)
    np.testing.assert_allclose(face.seconds, np.arange(frames) / 30, atol=1e-6)
    assert face.start_s == pytest.approx(start, abs=1 / 50)


@pytest.mark.parametrize(
    ("count", "step", "fps"),
    [(60, 1, 60), (60, 4, 15), (60, 5, 12), (60, 20, 3), (30, 1, 30), (30, 2, 15), (24, 1, 24), (25, 1, 25)],
)
def test_rows_on_any_clock_have_the_rate_of_their_step(tmp_path, count, step, fps):
    face = load(tmp_path, table(on_clock(np.arange(0, 3 * count, step), count, start=3600)))
    assert face.fps == fps
    np.testing.assert_allclose(face.seconds, np.arange(len(face)) / fps, atol=1e-6)


@pytest.mark.parametrize("dropped", [[7], [29], [30], [28, 29, 30, 31], [10, 11, 12, 50, 51, 52, 53, 54, 80]])
@pytest.mark.parametrize(("count", "step"), [(60, 2), (60, 1), (30, 1)])
def test_dropped_rows_leave_gaps_and_shorten_nothing(tmp_path, dropped, count, step):
    numbers = np.delete(np.arange(120) * step, dropped)
    face = load(tmp_path, table(on_clock(numbers, count, start=50)))
    assert (len(face), face.fps) == (120 - len(dropped), count / step)
    np.testing.assert_allclose(face.seconds, numbers / count, atol=1e-6)
    assert face.duration_s == pytest.approx(120 * step / count)
    even = face.even()
    assert len(even) == 120
    np.testing.assert_allclose(np.diff(even.timecodes), step / count, atol=1e-9)
    assert even.start_s == face.start_s


def test_midnight_is_passed_forwards(tmp_path):
    times = on_clock(np.arange(240), 60, start=86_398)
    assert times[119] == "23:59:59:59.000"
    face = load(tmp_path, table(times))
    np.testing.assert_allclose(face.timecodes, 86_398 + np.arange(240) / 60, atol=1e-6)


@pytest.mark.parametrize("count", [30, 60])
@pytest.mark.parametrize("minute", [0, 1, 10])
def test_drop_frame_counts_what_was_left_out(tmp_path, count, minute):
    """Across a minute; a day of it is 86 399.9 s, which is not tried."""
    start = round(minute * 60 * count / 1.001) - 45
    first = max(start, 0)
    times = drop_frame(200, count, start=first)
    face = load(tmp_path, table(times))
    assert face.fps == pytest.approx({30: 29.97, 60: 59.94}[count])
    np.testing.assert_allclose(face.timecodes, (first + np.arange(200)) * 1.001 / count, atol=1e-6)


def test_a_minute_of_drop_frame_does_not_look_short(tmp_path):
    times = drop_frame(30, 60, start=3600 - 15)
    assert "00:01:00;04" in times
    np.testing.assert_allclose(load(tmp_path, table(times)).seconds, np.arange(30) * 1.001 / 60, atol=1e-6)


def test_milliseconds_in_the_frame_field(tmp_path):
    times = [f"00:00:{ms // 1000:02d}:{ms % 1000:03d}.000" for ms in (np.arange(90) * 1000 / 30).astype(int)]
    assert load(tmp_path, table(times)).fps == 30
    assert load(tmp_path, table(times[:3])).fps == 30
    bare = [f"00:00:{ms // 1000:02d}:{ms % 1000}" for ms in (np.arange(150) * 1000 / 60).astype(int)]
    assert load(tmp_path, table(bare)).fps == 60
    assert load(tmp_path, table(bare)).duration_s == pytest.approx(2.5, abs=0.01)


def test_a_clock_without_frames_and_plain_seconds(tmp_path):
    clock = [f"12:00:{ms // 1000:02d}.{ms % 1000:03d}" for ms in (np.arange(90) * 1000 / 25).astype(int)]
    face = load(tmp_path, table(clock))
    assert (face.fps, face.start_s) == (25, 43_200)
    assert load(tmp_path, table([f"{t:.4f}" for t in 5 + np.arange(90) / 24])).fps == 24


def test_29_97_stays_what_it_is(tmp_path):
    for fps in (29.97, 30000 / 1001):
        clip(300, fps).save(tmp_path / "face.csv")
        assert Animation.load(tmp_path / "face.csv").fps == 29.97


def test_rows_of_one_timecode_count_once(tmp_path, caplog):
    times = on_clock(np.repeat(np.arange(100), 2)[1:150], 60)
    face = load(tmp_path, table(times))
    assert (len(face), face.fps) == (75, 60)
    assert "74 rows have the timecode of the row before them" in caplog.text


# Spellings -------------------------------------------------------------------------------------


def lower(names):
    return [name[0].lower() + name[1:] for name in names]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (table(on_clock(range(90), 30)), "utf-8-sig"),
        (table(on_clock(range(90), 30)), "utf-16"),
        (table(on_clock(range(90), 30), separator=";"), "utf-8"),
        (table(on_clock(range(90), 30), separator=";", decimal=","), "utf-8-sig"),
        (table(on_clock(range(90), 30), separator="\t"), "utf-8"),
        (table(on_clock(range(90), 30), end="\n"), "utf-8"),
        (table(on_clock(range(90), 30), end="\r"), "utf-8"),
        (table(on_clock(range(90), 30)) + "\r\n\r\n", "utf-8"),
        ("\r\n" + table(on_clock(range(90), 30)), "utf-8"),
        (table(on_clock(range(90), 30), names=lower(NAMES)), "utf-8"),
        (table(on_clock(range(90), 30), names=NAMES[:52]), "utf-8"),
        (table(on_clock(range(90), 30), names=NAMES[::-1]), "utf-8"),
        (table(on_clock(range(90), 30), header=("timecode",)), "utf-8"),
        (table(on_clock(range(90), 30)).replace(",61,", ",52,"), "utf-8"),
        (table(on_clock(range(90), 30)).replace("\r\n", ",\r\n"), "utf-8"),
        (table([f'"{time}"' for time in on_clock(range(90), 30)]), "utf-8"),
    ],
)
def test_spellings_are_read(tmp_path, text, encoding):
    face = load(tmp_path, text, encoding)
    assert (len(face), face.fps) == (90, 30)
    np.testing.assert_allclose(face.weights, np.tile(np.arange(90)[:, None] % 10 / 10, 52), atol=1e-6)


def test_columns_are_found_by_name(tmp_path):
    text = table(on_clock(range(3), 30)).splitlines()
    cells = text[2].split(",")
    cells[2 + NAMES.index("JawOpen")] = "0.75"
    face = load(tmp_path, "\n".join([*text[:2], ",".join(cells), *text[3:]]))
    assert face.channel("jawOpen")[1] == 0.75
    assert np.abs(face.weights[1] - 0.1).argmax() == BLENDSHAPES.index("jawOpen")


def test_the_csv_of_audio2face_3d(tmp_path):
    """Its samples write an index without a name, timeCode in seconds and blendShapes.NAME; not the tongue."""
    names = [f"blendShapes.{name}" for name in NAMES[:51]]
    rows = [f"{i},{np.float32(i / 30)}," + ",".join([str(i / 100)] * 51) for i in range(61)]
    face = load(tmp_path, "\n".join([",".join(["", "timeCode", *names]), *rows]))
    assert (len(face), face.fps, face.duration_s) == (61, 30, pytest.approx(61 / 30))
    assert face.weights[40, BLENDSHAPES.index("jawOpen")] == pytest.approx(0.4)
    assert (face.channel("tongueOut") == 0).all()


def test_missing_and_unknown_columns_are_told(tmp_path, caplog):
    names = [name for name in NAMES if name not in ("JawOpen", "CheekPuff")] + ["Wings"]
    face = load(tmp_path, table(on_clock(range(3), 30), names=names))
    assert (face.channel("jawOpen") == 0).all()
    assert face.channel("mouthClose")[2] == pytest.approx(0.2)
    assert "2 blendshapes are missing and stay 0: 'cheekPuff', 'jawOpen'" in caplog.text
    assert "1 columns are not blendshapes and are left out: 'Wings'" in caplog.text


# Damage ----------------------------------------------------------------------------------------

GOOD = table(on_clock(range(5), 30), end="\n")


def changed(row, column, cell):
    """GOOD with another ``cell`` in the 1-based ``row`` and ``column``."""
    lines = [line.split(",") for line in GOOD.splitlines()]
    lines[row - 1][column - 1] = cell
    return "\n".join(",".join(line) for line in lines)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        ("\ufeff", "it is empty"),
        ("a,b\n1,2\n", r"no column Timecode \('a', 'b'\)"),
        ("Timecode,a,b\n", r"none of its columns \('a', 'b'\) is one of ARKit's 52 blendshapes"),
        (changed(3, 3, "nan"), r"row 3, column 'EyeBlinkLeft' is nan; accepted: a finite number"),
        (changed(3, 3, "inf"), r"row 3, column 'EyeBlinkLeft' is inf"),
        (changed(3, 3, "1e300"), r"row 3, column 'EyeBlinkLeft' is inf"),
        (changed(6, 19, ""), r"row 6, column 19, 'JawLeft', is ''; accepted: a finite number"),
        (changed(4, 5, "x" * 10_000), r"row 4, column 5, .* is 'xxx.{54,60}…; accepted: a finite number$"),
        (changed(1, 4, "EyeBlinkLeft"), "stands twice"),
        (changed(1, 4, "Timecode"), "2 columns of timecodes"),
        (changed(1, 4, "eyeBlink_L"), "eyeBlinkLeft stands twice, in columns"),
        (GOOD + "00:00:00:05.000,61,0.4", r"row 7 ends before column 4, 'EyeLookDownLeft'; accepted: 63"),
        (GOOD + GOOD.splitlines()[1] + ",0.5\n", r"row 7 has 64 cells; accepted: 63"),
        (changed(3, 1, "soon"), r"row 3 has the timecode 'soon'; that of row 2"),
        (changed(2, 1, "00:00:00"), r"row 3 has the timecode"),
        (changed(2, 1, "now"), r"row 2 has the timecode 'now'; accepted: HH:MM:SS:FF\.mmm"),
        (changed(3, 1, "00:61:00:00.000"), r"row 3 has the timecode '00:61:00:00\.000'; accepted: minutes"),
        (changed(3, 1, "00:00:00;01.000"), r"partly drop-frame"),
        (changed(4, 1, "00:00:00:00.500"), r"row 4 lies at 0\.0083\d+ s, and the one before it at 0\.016"),
        (GOOD + GOOD, r"row 7, column 3, 'EyeBlinkLeft', is 'EyeBlinkLeft'"),
        (table(["00:00:00:00.000", "00:00:00:01.000", "00:00:00:02.000", "11:00:00:00.000"]), "at most 500000 frames"),
        (table([f"{i / 967}" for i in range(50)]), r"come 967 times a second; accepted: at most 240"),
        ("Timecode,JawOpen\n" + "1" * 70_000, "row 2 has more than 65536 characters"),
        (b"Timecode,JawOpen\n00:00:00:00.000,0.5\n\xff\xfe\n", r"is not UTF-8 text"),
        (b"Timecode,JawOpen\n00:00:00:00.000,\0\n", r"row 2, column 2, 'JawOpen', is '\\x00'"),
        (b"\xff\xfeT", "not UTF-16 text"),
        ('Timecode,JawOpen\n"' + "\n".join(["a" * 60_000] * 5), r"it is not CSV \(field larger"),
        ("Timecode,JawOpen\n99999:00:00:00.000,0.5", r"row 2 has the timecode '99999:"),
    ],
)  # fmt: skip
def test_damage_is_told_by_row_and_column(tmp_path, content, words):
    with pytest.raises(UnreadableAnimation, match=words) as told:
        load(tmp_path, content)
    assert "take.csv is not a Live Link Face file that can be read: " in str(told.value)
    assert len(str(told.value)) < 600


def test_a_header_alone_is_a_clip_without_frames(tmp_path):
    assert len(load(tmp_path, table([]))) == 0
