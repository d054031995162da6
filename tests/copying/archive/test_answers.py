"""What an object store says of a request that failed, in a line and with what to do."""

import pytest

from copying.archive.answers import in_words, is_broken, is_missing

LIBRARY = "Generic S3 error: Error performing PUT http://store:9000/b/p/x in 7.2ms, after 8 retries - "
DEBUG = '\n\nDebug source:\nGeneric { code: 104, message: "Connection reset by peer" }\n'


def answered(status: str, code: str = "", message: str = "") -> str:
    """An error as the library words it, after an answer of a store."""
    told = f"<Code>{code}</Code>" * bool(code) + f"<Message>{message}</Message>" * bool(message)
    return f'{LIBRARY}Server returned non-2xx status code: {status}: <?xml version="1.0"?>\n<Error>{told}</Error>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            answered("500 Internal Server Error", "InternalError", "oops."),
            "500 Internal Server Error, InternalError: oops",
        ),
        (answered("503 Service Unavailable"), "503 Service Unavailable"),
        (
            answered("400 Bad Request", "X", "region &#34;eu&#34; is wrong"),
            '400 Bad Request, X: region "eu" is wrong',
        ),
        (answered("404 Not Found", "NoSuchBucket", "none"), "there is no such bucket; create it"),
        (
            answered("403 Forbidden", "SignatureDoesNotMatch", "no"),
            "403 Forbidden, SignatureDoesNotMatch: no; correct the keys in the environment, or what they allow",
        ),
        (
            answered("404 Not Found", "XAdminUserNotFound"),
            "404 Not Found, XAdminUserNotFound; correct the keys in the environment, or what they allow",
        ),
        (f"{LIBRARY}HTTP error: error sending request{DEBUG}", "http://store:9000: Connection reset by peer"),
        (f"{LIBRARY}HTTP error: error sending request", "http://store:9000: HTTP error: error sending request"),
        ("HTTP error: error sending request", "HTTP error: error sending request"),
        (f"{LIBRARY}operation timed out{DEBUG[:20]}", f"{LIBRARY}operation timed out"),
        ("Generic S3 error: Got invalid list response", "Generic S3 error: Got invalid list response"),
        (
            "Error performing PUT http://169.254.169.254/latest/api/token in 8ms",
            "no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what your store takes",
        ),
    ],
)
def test_an_error_of_the_library_is_one_line(text: str, said: str) -> None:
    """Without its debug output, and without how long it took."""
    assert in_words(text) == said


def test_only_a_connection_that_broke_is_a_reason_to_write_again() -> None:
    """Everything else the library repeats itself, or it is an answer."""
    assert is_broken(f"{LIBRARY}HTTP error: error sending request{DEBUG}")
    assert not is_broken(answered("500 Internal Server Error", "InternalError"))


@pytest.mark.parametrize(
    ("code", "missing"), [("NoSuchKey", True), ("BlobNotFound", True), ("", True), ("XAdminUserNotFound", False)]
)
def test_what_was_not_found_may_be_something_else_than_the_object(code: str, missing: bool) -> None:
    """An unknown user is no missing object: what is there would be taken for lost."""
    assert is_missing(answered("404 Not Found", code)) is missing
