"""The file of progress: what was saved is there again; damage is an error that says so."""

import pytest

from minidistil.learn.progress import FILE, Progress, load, save


def test_saved_and_loaded(tmp_path):
    folder = tmp_path / "learn"
    assert load(folder) == {}
    progress = {
        "03a_softmax": Progress(True, 2, checked="ab"),
        "01a_longest_match": Progress(looked=True),
    }
    save(folder, progress)
    assert load(folder) == progress
    assert [path.name for path in folder.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ('{"03a": {"passed": true, "stars": 5}}', r"is damaged .*stars.*remove it to start anew"),
        ('{"03a": 5}', "is damaged"),
        ('{"03a": {"hints": "x"}}', r"is damaged \(03a is .*'x'"),
    ],
)
def test_damage(tmp_path, text, message):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match=message):
        load(tmp_path)
