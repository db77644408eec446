"""Text made speakable: one form, numbers in words, and nothing left out without a warning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_contract.errors import UnspeakableText
from emotalk_speech.normalisation import normalise, speakable
from emotalk_speech.persian import number, spoken

pytestmark = pytest.mark.unit

FORMS = [
    ("علي كتاب مي‌خواند ولى كسي نيست.", "علی کتاب می‌خواند ولی کسی نیست."),
    ("کتاب ها و خانه های بزرگ تر را دیدم.", "کتاب‌ها و خانه‌های بزرگ‌تر را دیدم."),
    ("مُحَمَّد گُل را بُرد.", "محمد گل را برد."),
    ("خانه ی ما نزدیک است", "خانه‌ی ما نزدیک است"),
    ("من از Python 3.11 استفاده می کنم.", "من از Python 3.11 استفاده می‌کنم."),
    ("سلام , خوبی ?", "سلام، خوبی؟"),
    ("خیلییییی خوب", "خیلی خوب"),
    ("ســلام", "سلام"),
    ("سال ٢٠٢٤", "سال ۲۰۲۴"),
]
READ = [
    ("ساعت ۱۰:۳۰", "ساعت ده و سی دقیقه"),
    ("۱۴۰۳/۰۵/۱۲", "دوازده مرداد هزار و چهارصد و سه"),
    ("2024-01-05", "پنج ژانویه دو هزار و بیست و چهار"),
    ("۳٫۵", "سه ممیز پنج"),
    ("۳.۵", "سه ممیز پنج"),
    ("۲۵٪", "بیست و پنج درصد"),
    ("۱٬۲۵۰ تومان", "هزار و دویست و پنجاه تومان"),
    ("-۴", "منفی چهار"),
    ("گُل", "گُل"),
    ("محمّد", "محمد"),
]


@pytest.mark.parametrize(("written", "form"), FORMS, ids=range(len(FORMS)))
def test_persian_has_one_form(written, form):
    assert normalise(written, "fa") == form
    assert normalise(form, "fa") == form


@pytest.mark.parametrize(("written", "said"), READ, ids=range(len(READ)))
def test_persian_is_read_aloud(written, said):
    assert spoken(written) == said


@pytest.mark.parametrize(
    ("digits", "words"),
    [("0", "صفر"), ("19", "نوزده"), ("1000", "هزار"), ("2001", "دو هزار و یک"), ("1000000", "یک میلیون")],
)
def test_numbers(digits, words):
    assert number(digits) == words


def test_a_long_number_is_read_digit_by_digit():
    assert number("7" * 400) == " ".join(["هفت"] * 400)


def test_what_is_left_out_is_named():
    ready = speakable("Hello <break/> 😀 Привет\u202e world", "en")
    assert ready.text == "Hello world"
    assert len(ready.warnings) == 3
    assert "😀" in ready.warnings[2]
    assert "Latin" in ready.warnings[1]


def test_letters_in_other_clothes_are_read():
    assert speakable("𝐇𝐞𝐥𝐥𝐨 Ｂｏｂ ٣", "en").text == "Hello Bob 3"


def test_persian_may_have_latin_words():
    assert speakable("از Python", "fa").text == "از Python"


@pytest.mark.parametrize("text", ["😀", "سلام", "…", "\u202e\u200b", "<speak></speak>"])
def test_nothing_to_say_is_an_error(text):
    with pytest.raises(UnspeakableText):
        speakable(text, "en")


@given(st.text(max_size=300), st.sampled_from(["en", "fa"]))
def test_whatever_is_written_becomes_speakable_or_a_typed_error(text, language):
    try:
        ready = speakable(text, language).text
    except UnspeakableText:
        return
    assert any(character.isalnum() for character in ready)
    assert not any(character.isspace() and character not in " \n" for character in ready)
