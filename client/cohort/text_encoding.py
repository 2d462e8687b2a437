"""The bytes of a csv file as text: which encodings are read unasked, and which only where site.yaml names them."""

import codecs
import re
from pathlib import Path

from common.errors import Code, HospitalError

_NOT_TEXT = {
    b"PK\x03\x04": "an Excel or OpenDocument workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "a compressed file",
    b"%PDF": "a PDF",
}

# GB18030 reads almost any bytes. A Chinese character is mostly two high bytes, and Chinese words are runs of them; a
# Western letter with an accent is one high byte among ASCII letters, and GB18030 takes the next letter for its
# second half: Gerät becomes Ger鋞. A few rare Chinese characters look like that too, so both kinds are counted.
_CHINESE_WORD = re.compile(rb"(?<![\x80-\xff])(?:[\x81-\xfe][\x80-\xfe]){2,}")
_WESTERN = re.compile(
    # a lone letter or sign of Latin-1 or Windows-1252, and the ASCII character that GB18030 would swallow
    rb"(?<![\x80-\xff])[\x8a\x8c\x8e\x92\x9a\x9c\x9e\x9f\xa0-\xff](?=[\x40-\x7e])"
    # two small accented letters beside an ASCII letter (Größe, créé): as GB18030 one of the rarer characters
    rb"|(?<=[A-Za-z])[\x92\xdf-\xff][\xdf-\xff](?![\x80-\xff])"
    rb"|(?<![\x80-\xff])[\x92\xdf-\xff][\xdf-\xff](?=[A-Za-z])"
)
_CELL_ENDS = re.compile(rb'[,;\t\r\n"]')


def read_text(path: Path, encoding: str | None) -> tuple[str, str]:
    """The text of a file and the encoding it was read in.

    Parameters
    ----------
    encoding
        What site.yaml says: exactly this is used. None: UTF-8, with or without a byte order mark, UTF-16 with
        one, else GB18030, unless the bytes look like a Western encoding.

    Raises
    ------
    HospitalError
        UNREADABLE_FILE, or BAD_SITE_FILE for an encoding that does not exist.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "it cannot be opened"
        raise HospitalError(
            Code.UNREADABLE_FILE, f"{path}: {reason}; check the file and who may read it"
        ) from None
    for start, kind in _NOT_TEXT.items():
        if content.startswith(start):
            raise HospitalError(
                Code.UNREADABLE_FILE, f"{path}: this is {kind}, not a text file; save it as 'CSV UTF-8'"
            )
    text, used = _guessed(path, content) if encoding is None else (_as_told(path, content, encoding), encoding)
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        raise HospitalError(
            Code.UNREADABLE_FILE,
            f"{path}: the file holds null bytes, so it is no plain text; save it as 'CSV UTF-8'",
        )
    return text, used


def _as_told(path: Path, content: bytes, encoding: str) -> str:
    try:
        text: str | None = content.decode(encoding)
        problem = ""
    except LookupError:
        cure = "write e.g. utf-8, gb18030, latin-1, cp1252 or big5"
        raise HospitalError(Code.BAD_SITE_FILE, f"site.yaml: there is no encoding {encoding!r}; {cure}") from None
    except UnicodeError as error:
        text, problem = None, str(error)
    if _is_rather_utf8(content, text):
        raise HospitalError(
            Code.UNREADABLE_FILE,
            f"{path}: the file looks like UTF-8, but site.yaml says encoding: {encoding}; take encoding out of "
            "site.yaml (where another csv file needs it, save that one as 'CSV UTF-8')",
        )
    if text is None:
        raise HospitalError(
            Code.UNREADABLE_FILE,
            f"{path}: the file is not in the encoding that site.yaml gives ({encoding}): {problem}; "
            "correct encoding in site.yaml, or take it out for UTF-8 and GB18030",
        )
    return text


def _is_rather_utf8(content: bytes, text: str | None) -> bool:
    """Whether the bytes are UTF-8 beyond ASCII and the named encoding, which gave `text`, reads them otherwise.

    A short text of GB18030 or Big5 may be UTF-8's two-byte letters by chance (未 is δ); it is believed to be what
    site.yaml says. Three-byte ones do not happen by chance.
    """
    try:
        utf8 = content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    if utf8.isascii() or "\0" in utf8 or utf8.removeprefix("\ufeff") == (text or "").removeprefix("\ufeff"):
        return False
    one_byte_a_letter = text is not None and len(text) == len(content)
    return text is None or one_byte_a_letter or max(utf8) > "\u07ff"


def _guessed(path: Path, content: bytes) -> tuple[str, str]:
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for candidate in ("utf-16",) if marked else ("utf-8", "gb18030"):
        try:
            text = content.decode(candidate)
        except UnicodeDecodeError:
            continue
        if candidate == "gb18030":
            _stop_if_western(path, content)
        return text, candidate
    raise HospitalError(
        Code.UNREADABLE_FILE,
        f"{path}: the text is neither UTF-8 nor UTF-16 nor GB18030; save it as 'CSV UTF-8', or name its encoding "
        "in site.yaml, e.g. encoding: latin-1",
    )


def _stop_if_western(path: Path, content: bytes) -> None:
    western = list(_WESTERN.finditer(content))
    chinese = sum(len(word.group()) // 2 for word in _CHINESE_WORD.finditer(content))
    if len(western) <= chinese:
        return
    place = western[0].start()
    ends = [0, *(end.end() for end in _CELL_ENDS.finditer(content, 0, place))]
    cell = _CELL_ENDS.split(content[ends[-1] :], maxsplit=1)[0]
    line = len(content[:place].splitlines())
    as_latin, as_chinese = (cell.decode(name, "replace").strip()[:40] for name in ("cp1252", "gb18030"))
    raise HospitalError(
        Code.UNREADABLE_FILE,
        f'{path}, line {line}: the file is not UTF-8, and "{as_latin}" there looks like Western text (as GB18030 it '
        f"would be \"{as_chinese}\"); save the file as 'CSV UTF-8', or say in site.yaml what it is: "
        "encoding: latin-1, or encoding: gb18030",
    )
