"""Files of a reproduction: found, fetched, and refused where they are not the same."""

import hashlib
import zipfile

import pytest

from minidistil.reproduction import files
from minidistil.reproduction.files import FILES, package, read_texts

CONTENT = "first line\nsecond line, with an é\n".encode()


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A page that is a file of this machine: urlopen reads it like any other."""
    archive = tmp_path / "page.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("kind/text.txt", CONTENT)
    (tmp_path / "page.txt").write_bytes(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    listed = {
        "kind/text.txt": (archive.as_uri(), digest),
        "kind/plain.txt": ((tmp_path / "page.txt").as_uri(), digest),
        "kind/other.txt": ((tmp_path / "page.txt").as_uri(), "0" * 64),
        "kind/absent.txt": ((tmp_path / "nowhere.txt").as_uri(), digest),
        "kind/not inside.txt": (archive.as_uri(), digest),
        "kind/no archive.txt": ((tmp_path / "broken.zip").as_uri(), digest),
    }
    (tmp_path / "broken.zip").write_bytes(b"no archive")
    monkeypatch.setattr(files, "FILES", listed)
    return tmp_path


@pytest.mark.parametrize("name", ["kind/text.txt", "kind/plain.txt"])
def test_fetched_once_then_kept(page, name):
    cache = page / "cache"
    lines = ["first line", "second line, with an é"]
    assert read_texts(name, None, cache) == lines
    assert (cache / name).read_bytes() == CONTENT
    (page / "page.txt").unlink()
    (page / "page.zip").unlink()
    files._page.cache_clear()
    assert read_texts(name, None, cache) == lines
    assert read_texts(name, cache, page / "not needed") == lines
    assert not (page / "not needed").exists()


def test_another_version_is_refused_and_not_kept(page):
    with pytest.raises(
        ValueError, match=r"page.txt has the sha256 [0-9a-f]{64}, not 0000.*the page has changed"
    ):
        read_texts("kind/other.txt", None, page / "cache")
    assert not (page / "cache").exists()
    (page / "kind").mkdir()
    (page / "kind" / "text.txt").write_text("changed")
    with pytest.raises(ValueError, match="text.txt has the sha256"):
        read_texts("kind/text.txt", page, page / "cache")


@pytest.mark.parametrize("name", ["kind/absent.txt", "kind/not inside.txt", "kind/no archive.txt"])
def test_a_page_that_cannot_be_read_says_the_way_out(page, name):
    with pytest.raises(OSError, match=f"put {name} into a folder and pass it with --data"):
        read_texts(name, None, page / "cache")


def test_a_missing_file_of_a_folder_is_named(page):
    with pytest.raises(FileNotFoundError, match=r"text\.txt is not there: without --data"):
        read_texts("kind/text.txt", page / "cache", page)


def test_an_archive_is_fetched_once(page, monkeypatch):
    digest = files.FILES["kind/text.txt"]
    monkeypatch.setitem(files.FILES, "kind/again.txt", digest)
    with zipfile.ZipFile(page / "page.zip", "a") as zipped:
        zipped.writestr("kind/again.txt", CONTENT)
    read_texts("kind/text.txt", None, page / "cache")
    (page / "page.zip").unlink()
    assert read_texts("kind/again.txt", None, page / "cache")


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(files.PACKAGES, "no_such_package", "no-such-package==1.2")
    with pytest.raises(ValueError, match="pip install --no-deps no-such-package==1.2"):
        package("no_such_package")


def test_what_is_listed():
    assert all(len(digest) == 64 and url.startswith("https://") for url, digest in FILES.values())
