"""Which file is meant: folders never touch the network, ids are checked, the cache is read."""

import pytest

from minidistil import DistilBertModel
from minidistil.checkpoints.hub import resolve_file
from tests.helpers.reference import pair

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert resolve_file(tmp_path, "config.json") == tmp_path / "config.json"
    assert resolve_file(str(tmp_path), "model.safetensors") is None


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("./missing", FileNotFoundError, "no folder './missing'"),
        ("/missing/folder", FileNotFoundError, "no folder"),
        ("~/missing", FileNotFoundError, "no folder"),
        ("~nosuchuser/x", FileNotFoundError, "no folder '~nosuchuser/x'"),
        ("/" + "a" * 300, FileNotFoundError, "no folder"),
        ("a" * 300, ValueError, "neither a folder here nor a hub repository id"),
        ("../user/name", FileNotFoundError, "no folder"),
        ("user/../name", ValueError, "neither a folder here nor a hub repository id"),
        ("user/..", ValueError, "neither a folder"),
        ("a/b/c", ValueError, "neither a folder"),
        ("user/name with spaces", ValueError, "neither a folder"),
        ("", ValueError, "neither a folder"),
        ("user/name@../../x", ValueError, r"may not hold '\.\.'"),
        ("user/name", FileNotFoundError, "nor in the download cache"),
    ],
)
def test_names_that_lead_nowhere(name, error, message, tmp_path):
    with pytest.raises(error, match=message):
        resolve_file(name, "config.json", cache_dir=tmp_path, local_files_only=True)


def test_a_path_object_is_never_a_hub_id(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        resolve_file(tmp_path / "user", "config.json")


def test_a_file_is_not_a_checkpoint(tmp_path):
    (tmp_path / "model.safetensors").write_text("")
    with pytest.raises(NotADirectoryError, match="give the folder"):
        resolve_file(tmp_path / "model.safetensors", "config.json")


@pytest.mark.parametrize("filename", ["../config.json", "a/b", "/etc/passwd", ""])
def test_file_names_do_not_escape(filename, tmp_path):
    with pytest.raises(ValueError, match="not a plain file name"):
        resolve_file(tmp_path, filename)


def test_two_revisions(tmp_path):
    with pytest.raises(ValueError, match="names revision 'a', but revision='b'"):
        resolve_file("user/name@a", "config.json", revision="b", cache_dir=tmp_path)


@pytest.fixture
def cache(tmp_path):
    """A hub cache with one model, laid out as huggingface_hub does."""
    repository = tmp_path / "models--user--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "refs" / "v1").write_text(COMMIT)
    _, model = pair("DistilBertModel", "k16")
    model.save_pretrained(repository / "snapshots" / COMMIT)
    return tmp_path


@pytest.mark.parametrize("name", ["user/name", "user/name@main", "user/name@v1"])
def test_the_cache(name, cache):
    model = DistilBertModel.from_pretrained(name, cache_dir=cache, local_files_only=True)
    assert model.config.dim == 32


def test_the_cache_by_revision(cache):
    load = DistilBertModel.from_pretrained
    assert load("user/name", revision=COMMIT, cache_dir=cache).config.dim == 32
    with pytest.raises(FileNotFoundError, match="nor in the download cache"):
        load("user/name@v2", cache_dir=cache, local_files_only=True)


def test_an_optional_file_that_was_never_cached(cache):
    """Offline, the cached config.json shows that the repository is there, and the file is not."""
    assert resolve_file("user/name", "other.json", cache_dir=cache, local_files_only=True) is None
