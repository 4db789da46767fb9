"""The folder for a class, and what comes back from it."""

import re
import shutil
import subprocess
import sys
import zipfile

import nbformat
import pytest

from medkit import catalog, classroom, fetch, handouts, lessons, progress
from medkit.errors import MedkitError


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    out, cache = tmp_path_factory.mktemp("class"), tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDKIT_DATA", str(cache))
        classroom.write(out, ["1", "3"])
    return out


def test_students_get_exercises_without_solutions_and_links_that_resolve(room):
    mine = room / "students" / "notebooks"
    assert {p.name for p in mine.iterdir()} == {"01_deep_learning_basics.ipynb", "03_cnn_diagnosis.ipynb", "start.ipynb",
                                                "glossary.ipynb", progress.FILE}
    text = "".join(p.read_text() for p in (room / "students").rglob("*.ipynb"))
    assert "your answer here" in text and "np.maximum(z, 0)\n" not in text and "### " + "BEGIN" not in text
    assert "return np.maximum(z, 0)" in (room / "teacher" / "solutions" / "01_deep_learning_basics.ipynb").read_text()
    for path in room.rglob("*.*"):
        if path.suffix in (".html", ".ipynb"):
            links = re.findall(r'(?:\]\(|href=\\?")([\w./-]+\.(?:ipynb|html|zip))', path.read_text())
            assert all((path.parent / link).exists() for link in links), path
    shutil.unpack_archive(room / "students" / "notebooks.zip", room / "unpacked")
    assert len(list((room / "unpacked" / "notebooks").iterdir())) == 5


def test_pages_need_no_network_and_run_no_script(room):
    for path in [*room.rglob("*.html")]:
        text = path.read_text()
        assert "default-src 'none'" in text and "<script" not in text and 'src="http' not in text
        assert text.count("<main>") == text.count("</main>") == 1


@pytest.mark.parametrize("path", lessons.sources(), ids=lambda p: p.stem)
def test_notes_hold_every_exercise_answer_mistake_and_question(path, tmp_path):
    handouts.notes(path, tmp_path / "notes.html")
    text = (tmp_path / "notes.html").read_text()
    source = path.read_text()
    assert text.count("<details>") == source.count("<details>") and "Where it fails</h2>" in text
    assert text.count("A wrong answer that comes up:") == source.count('["wrong"]')
    assert text.count("A solution:") == len(lessons.exercises(path)) == text.count("The check can say:")
    assert all(re.search(rf"Exercise {n.split('.')[1]}\.", text) for n in lessons.exercises(path))


@pytest.mark.parametrize("path", lessons.sources(), ids=lambda p: p.stem)
def test_slides_hold_every_heading_figure_and_question(path):
    notebook = handouts.built(path)
    parts = [p for shown, _ in handouts.split(notebook) for p in shown]
    text = "\n".join(p for p in parts if isinstance(p, str))
    for heading in re.findall(r"(?m)^# (## .+)$", path.read_text()):
        assert heading in text
    figures = [o for c in notebook.cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})
               and "exercise" not in c.metadata.get("tags", [])]
    on_slides = [o for p in parts if not isinstance(p, str) for o in p.outputs if "image/png" in o["data"]]
    assert len(on_slides) == len(figures)
    assert text.count("<details>") == path.read_text().count("<details>")
    assert all(not p.source for p in parts if not isinstance(p, str))


def test_the_agenda_keeps_to_its_time_and_drops_nothing():
    paths = lessons.sources()
    parts = re.split(r"(?m)^## ", classroom.agenda(paths))[1:]
    assert len(parts) == 3
    steps = [what for p in paths for what, _ in classroom.steps(p)]
    for part, days in zip(parts, classroom.FORMS.values()):
        for table, minutes in zip(part.split("| From |")[1:], days):
            rows = re.findall(r"(?m)^\| (\d+):(\d\d) \| (\d+) \| (.+) \|$", table)
            ends = [int(h) * 60 + int(m) + int(n) for h, m, n, _ in rows]
            assert ends[-1] <= minutes
            assert [int(h) * 60 + int(m) for h, m, _, _ in rows] == [0, *ends[:-1]]
        assert all(what.lower() in part.lower() for what in steps)


def test_a_short_class_has_no_empty_day():
    few, all_of_them = classroom.agenda(lessons.sources()[:2]), classroom.agenda(lessons.sources())
    assert "Day 1" in few and "Day 2" not in few and "Day 2" in all_of_them


def test_a_longer_reading_time_moves_the_agenda(monkeypatch):
    before, told = classroom.agenda(lessons.sources()), lessons.facts
    monkeypatch.setattr(lessons, "facts", lambda p: {**told(p), "read_minutes": told(p)["read_minutes"] + 20})
    assert classroom.agenda(lessons.sources()) != before


def test_a_student_takes_data_from_the_mirror(tiny_set, server, monkeypatch, tmp_path):
    fetch.get("tinymnist", progress=False)
    copied = classroom.write(tmp_path / "class", ["1"], ["tinymnist"])
    assert copied["tinymnist"] == ["tinymnist.npz"]
    held = (tmp_path / "class" / "students" / "data" / "tinymnist" / "tinymnist.npz")
    (server.site / "data" / "tinymnist").mkdir(parents=True)
    shutil.copy(held, server.site / "data" / "tinymnist")
    monkeypatch.setenv("MEDKIT_MIRROR", f"{server.url}/data")
    monkeypatch.setenv("MEDKIT_DATA", str(tmp_path / "student"))
    server.asked.clear()
    fetch.get("tinymnist", progress=False)
    assert [path for path, _ in server.asked] == ["/data/tinymnist/tinymnist.npz"]


def test_a_class_fetches_the_small_images_of_a_set_alone(tiny_set, server, monkeypatch, tmp_path):
    monkeypatch.setitem(catalog.card("tinymnist").files, "tinymnist_224.npz", "md5:0")
    copied = classroom.write(tmp_path / "class", ["1"], ["tinymnist"])
    assert copied["tinymnist"] == ["tinymnist.npz"] and "/tinymnist_224.npz" not in [path for path, _ in server.asked]


def test_a_damaged_file_is_not_mirrored(tiny_set, tmp_path):
    [path] = fetch.get("tinymnist", progress=False)
    path.write_bytes(path.read_bytes()[:-1])
    assert fetch.mirror("tinymnist", tmp_path / "out") == [] and not (tmp_path / "out").exists()


def saved(folder, said):
    folder.mkdir(parents=True)
    cell = nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("stream", text=said)])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "01_deep_learning_basics.ipynb")


def test_collected_folders_become_one_table_without_names(tmp_path):
    saved(tmp_path / "Ada Example" / "work", "Exercise 1.1: right. Well done!\nExercise 1.2: not yet. No.\n")
    saved(tmp_path / "Bao Sample", "Exercise 1.1: not tried yet.\n")
    (tmp_path / "Bao Sample" / progress.FILE).write_text('{"1.2": "right", "1.3": "not yet"}')
    (tmp_path / "Chidi").mkdir()
    (tmp_path / "Chidi" / "broken.ipynb").write_text("not a notebook")
    table = classroom.collect(tmp_path, names=True)
    assert table.loc["Ada Example", ["1.1", "1.2", "1.3"]].tolist() == ["right", "not yet", ""]
    assert table.loc["Bao Sample", ["1.1", "1.2", "1.3"]].tolist() == ["", "right", "not yet"]
    assert (table.loc["Chidi"] == "").all()
    hidden = classroom.collect(tmp_path)
    assert sorted(hidden.index) == [1, 2, 3] and sorted(map(tuple, hidden.values)) == sorted(map(tuple, table.values))
    by_lesson, by_exercise = classroom.summary(table)
    assert by_lesson["1"].tolist() == [1, 1, 0] and by_exercise.to_dict() == {"1.3": 0, "1.1": 1 / 3, "1.2": 1 / 3}
    done = subprocess.run([sys.executable, "-m", "medkit", "collect", str(tmp_path), "--out", str(tmp_path / "r.csv")],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not re.search("Ada|Bao|Chidi", done.stdout + (tmp_path / "r.csv").read_text())
    assert (tmp_path / "r.csv").read_text().count("\n") == 4


def test_a_teachers_mistakes_get_one_message(tmp_path):
    with pytest.raises(MedkitError, match="no students' folders"):
        classroom.collect(tmp_path / "nowhere")
    with pytest.raises(MedkitError, match="There is no lesson"):
        classroom.write(tmp_path / "out", ["one"])
    with pytest.raises(MedkitError, match="There is no data set"):
        classroom.write(tmp_path / "out", ["1"], ["mitbd"])


def test_what_a_teacher_tried_is_not_handed_out(tmp_path):
    mine = tmp_path / "students" / "notebooks"
    classroom.write(tmp_path, ["1"])
    (mine / progress.FILE).write_text('{"1.1": "right"}')
    (mine / ".ipynb_checkpoints").mkdir()
    (mine / ".ipynb_checkpoints" / "01_deep_learning_basics-checkpoint.ipynb").write_text("the teacher's answer")
    classroom.write(tmp_path, ["1"])
    shutil.unpack_archive(tmp_path / "students" / "notebooks.zip", tmp_path / "unpacked")
    handed = tmp_path / "unpacked" / "notebooks"
    assert progress.read(handed) == {} and not list(handed.rglob(".ipynb_checkpoints"))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": 1}', '{"cells": [{"outputs": [{"text": 5}]}]}', "\ufeff{}"])
@pytest.mark.parametrize("name", ["01.ipynb", progress.FILE])
def test_a_damaged_hand_in_is_told_and_does_not_stop_the_others(text, name, tmp_path):
    saved(tmp_path / "Ada", "Exercise 1.1: right. Well done!")
    (tmp_path / "Bao").mkdir()
    (tmp_path / "Bao" / name).write_text(text, encoding="utf-8")
    table = classroom.collect(tmp_path, names=True)
    assert table.loc["Ada", "1.1"] == "right" and (table.loc["Bao"] == "").all()
    if name != progress.FILE or not text.startswith("{"):
        assert [note.partition(":")[0] for note in table.attrs["notes"]] == ["Student Bao"]


def test_zip_files_are_read_where_they_lie_or_refused(tmp_path):
    saved(tmp_path / "made" / "work", "Exercise 1.1: right. Well done!")
    whole = (tmp_path / "made" / "work" / "01_deep_learning_basics.ipynb").read_text()
    hand_in = tmp_path / "all"
    (hand_in / "Bao" / "deep").mkdir(parents=True)
    for path in (hand_in / "Ada.zip", hand_in / "Bao" / "deep" / "mine.ZIP"):
        with zipfile.ZipFile(path, "w") as held:
            held.writestr("../../../slipped.ipynb", whole)
            held.writestr("__MACOSX/._01.ipynb", b"\x00\xff")
            held.writestr("photo.png", b"\xff")
    (hand_in / "Chidi.zip").write_bytes((hand_in / "Ada.zip").read_bytes()[:-40])
    (hand_in / "Dora.rar").write_bytes(b"Rar!")
    (hand_in / "Ed.ipynb").write_text(whole)
    saved(hand_in / "Fay", "Exercise 1.1: right. Well done!")
    shutil.make_archive(hand_in / "Fay", "zip", hand_in / "Fay")
    before = sorted(tmp_path.parent.rglob("*"))
    table = classroom.collect(hand_in, names=True)
    assert table["1.1"].to_dict() == {"Ada": "right", "Bao": "right", "Chidi": "", "Dora": "", "Ed": "right", "Fay": "right"}
    assert table.attrs["notes"] == [f"Student {name}: an archive (damaged, locked, or no zip file) cannot be read." for name in ("Chidi", "Dora")]
    assert sorted(tmp_path.parent.rglob("*")) == before, "something was unpacked"


def test_a_zip_file_from_windows_is_read_and_a_damaged_one_of_any_method_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "Ada.zip", "w") as held:
        held.writestr("work\\progress.json", '{"1.1": "right"}')
    with zipfile.ZipFile(tmp_path / "Bao.zip", "w", zipfile.ZIP_LZMA) as held:
        held.writestr("01.ipynb", "x" * 1000)
    body = bytearray((tmp_path / "Bao.zip").read_bytes())
    body[38:60] = b"\xff" * 22
    (tmp_path / "Bao.zip").write_bytes(body)
    table = classroom.collect(tmp_path, names=True)
    assert table["1.1"].to_dict() == {"Ada": "right", "Bao": ""} and len(table.attrs["notes"]) == 1


def test_a_zip_file_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(classroom, "LARGEST", 1000)
    with zipfile.ZipFile(tmp_path / "Ada.zip", "w", zipfile.ZIP_DEFLATED) as held:
        held.writestr("bomb.ipynb", " " * 100_000)
    assert "cannot be read" in classroom.collect(tmp_path).attrs["notes"][0]


def test_names_with_brackets_and_colons_are_shown_as_they_are(tmp_path):
    for name in ("[Ada]", "Bao [", ":smile:"):
        saved(tmp_path / name, "Exercise 1.1: right. Well done!")
    done = subprocess.run([sys.executable, "-m", "medkit", "collect", str(tmp_path), "--names"], capture_output=True, text=True)
    assert done.returncode == 0 and all(name in done.stdout for name in ("[Ada]", "Bao [", ":smile:"))
