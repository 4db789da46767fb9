"""Beats and recordings: from WFDB, EDF and CSV files, with everything that a file can have wrong."""

import dataclasses

import numpy as np
import pandas as pd
import pyedflib
import pytest
import wfdb

from medkit import catalog, fetch
from medkit.datasets import cache, recordings, signals, waveforms
from medkit.errors import MedkitError

FS = 180


def heart(seconds=40, fs=FS, seed=0):
    """Make two leads of a plain heart that beats every 0.8 s; a float array and the R peaks."""
    at = np.arange(fs, seconds * fs - fs, int(0.8 * fs))
    t = np.arange(seconds * fs)[:, None] - at
    lead = np.exp(-0.5 * (t / (0.02 * fs)) ** 2).sum(1)
    noise = 0.01 * np.random.default_rng(seed).standard_normal((len(lead), 2))
    return np.column_stack([lead, -0.5 * lead]) + noise, at


def save(folder, name, x, at=None, symbols=None, leads=("MLII", "V1"), fs=FS):
    """Write a WFDB record, with annotations where there are beats."""
    folder.mkdir(exist_ok=True)
    wfdb.wrsamp(name, fs, ["mV"] * x.shape[1], list(leads), p_signal=x, fmt=["16"] * x.shape[1], write_dir=str(folder))
    if at is not None:
        wfdb.wrann(name, "atr", np.asarray(at), list(symbols or "N" * len(at)), write_dir=str(folder))
    return folder / f"{name}.hea"


@pytest.fixture
def ward(tmp_path):
    """A folder of five annotated records."""
    for k in range(5):
        x, at = heart(seed=k)
        save(tmp_path / "ward", f"p{k}", x, at, ["V" if i % 9 == 4 else "N" for i in range(len(at))])
    return tmp_path / "ward"


def test_a_folder_of_records_becomes_beats_in_true_order(ward):
    data = waveforms.beats(ward)
    assert data.windows.shape[1:] == (108, 2) and data.leads == ["MLII", "V1"] and data.fs == 120
    assert (data.windows[:, 41:44, 0].max(axis=1) > 0.9).all(), "the R peak stands where the window says"
    for record in np.unique(data.record):
        assert (np.diff(data.at[data.record == record]) > 0).all()
    assert data.rr == pytest.approx(0.8, abs=0.01) and set(data.y) == {0, 2}
    held = [set(data.patients[rows]) for rows in data.parts.values()]
    assert not held[0] & held[2] and not held[0] & held[1] and sum(map(len, held)) == 5
    for k in range(5):
        for file in sorted(ward.glob(f"p{k}.*")):
            (ward / f"a_long_name_for_{file.name}").write_bytes(file.read_bytes().replace(b"p", b"a_long_name_for_p")
                                                                if file.suffix == ".hea" else file.read_bytes())
            file.unlink()
    assert len(set(waveforms.beats(ward).patients)) == 5
    (ward / "a_long_name_for_p0.hea").unlink()
    with pytest.raises(MedkitError, match="at least 5 patients"):
        waveforms.beats(ward)


def test_leads_are_swapped_back(ward):
    x, at = heart()
    path = save(ward, "p9", x[:, ::-1], at, leads=("V1", "MLII"))
    assert waveforms.mlii_first(path) == ["MLII", "V1"]
    made, _ = waveforms.cut_file("p9", path, None)
    assert made["windows"][:, 42, 0].mean() > 0.9 > 0 > made["windows"][:, 42, 1].mean()


def test_every_beat_has_its_aami_class():
    code, notes = waveforms.classify(list("NLRBejnAaJSVErF/fQ?+~|"), "r")
    assert code.tolist() == [0] * 7 + [1] * 4 + [2] * 3 + [3] + [4] * 4 + [-1] * 3 and not notes


def test_unknown_annotation_symbols_are_left_out_and_told():
    code, notes = waveforms.classify(["N", "%", "%"], "r7")
    assert code.tolist() == [0, -1, -1] and "r7" in notes[0] and "'%'" in notes[0] and "2 of them" in notes[0]


def test_a_wrong_sampling_rate_is_noticed(ward):
    x, at = heart()
    path = save(ward, "p0", x, at, fs=20)
    with pytest.raises(MedkitError, match="sampling rate"):
        waveforms.cut_file("p0", path, None)
    with pytest.raises(MedkitError, match="the file says 180"):
        signals.read(ward / "p1", fs=360)


def test_a_record_of_too_few_whole_beats_is_named(ward):
    x, at = heart(seconds=4)
    save(ward, "short", x[150:500], at - 150)  # of three beats only one has a whole window
    with pytest.raises(MedkitError, match="Record short has 1 annotated beats away from its ends"):
        waveforms.beats(ward)


def test_annotations_beyond_the_signal(ward):
    x, at = heart()
    path = save(ward, "p0", x[:1000], at)
    with pytest.raises(MedkitError, match="annotation stands at sample"):
        waveforms.beats(ward)
    (ward / "p0.atr").unlink()
    with pytest.raises(MedkitError, match="Beats need annotations"):
        waveforms.cut_file("p0", path, None)


def test_header_and_data_that_disagree(ward):
    data = (ward / "p0.dat").read_bytes()
    (ward / "p0.dat").write_bytes(data[:len(data) // 2])
    with pytest.raises(MedkitError, match="p0.hea cannot be read.*damaged, cut"):
        signals.read(ward / "p0.hea")
    (ward / "p0.dat").unlink()
    with pytest.raises(MedkitError, match="p0.hea"):
        signals.read(ward / "p0.hea")


def test_a_missing_lead_is_named(ward):
    x, at = heart()
    save(ward, "p2", x[:, :1], at, leads=("MLII",))
    with pytest.raises(MedkitError, match="p2.hea has no channel 'V1'. Its channels: MLII"):
        waveforms.beats(ward)


def test_flat_lines_and_gaps(tmp_path):
    x = heart()[0]
    gone = np.where(np.arange(len(x))[:, None] < 3000, np.nan, x)
    for name, bad, match in [("flat", 0 * x, "flat line in every channel"), ("one", x[:1], r"1 sample\(s\)"),
                             ("gone", gone, "42% of the samples are missing")]:
        with pytest.raises(MedkitError, match=match):
            signals.mend(bad, ["MLII", "V1"], tmp_path / name)


def test_what_was_mended_is_told(tmp_path):
    x = heart()[0]
    x[100:110, 0] = np.nan
    x[:, 1] = np.minimum(np.maximum(x[:, 1], -0.1), 0.002)
    mended, notes = signals.mend(np.column_stack([x, np.zeros(len(x))]), ["MLII", "V1", "V2"], tmp_path / "r")
    assert np.isfinite(mended).all() and "10 missing" in notes[0] and "V2' is a flat line" in notes[1]
    assert "V1' is clipped" in notes[2]


def write_edf(path, seconds=40, fs=100, channels=(("EEG O1", "uV", 1), ("EEG O2", "uV", 1))):
    """Write an EDF file of channels (name, unit, how many times `fs`)."""
    with pyedflib.EdfWriter(str(path), len(channels)) as file:
        file.setSignalHeaders([{"label": c, "dimension": unit, "sample_frequency": fs * times, "physical_max": 200,
                                "physical_min": -200, "digital_max": 32767, "digital_min": -32768}
                               for c, unit, times in channels])
        rng = np.random.default_rng(0)
        file.writeSamples([20 * rng.standard_normal(seconds * fs * times) for _, _, times in channels])


def test_voltages_are_brought_to_mv_and_eeg_to_microvolt(ward, tmp_path):
    x = heart()[0]
    wfdb.wrsamp("u", FS, ["uV", "V", "mmHg"], ["MLII", "V1", "ABP"], fmt=["32"] * 3, write_dir=str(ward),
                p_signal=np.column_stack([1000 * x[:, 0], x[:, 1] / 1000, 100 + x[:, 0]]))
    found = signals.read(ward / "u")
    assert np.allclose(found.x[:, :2], x, atol=1e-3) and found.x[:, 2].mean() > 99
    assert found.notes == ["u: no voltages, and left in their units: ABP ('mmHg')."]
    write_edf(tmp_path / "a.edf", channels=[("EEG O1", "uV", 1), ("Fp1-F7", "mV", 1), ("ECG", "uV", 1), ("O2", "%", 1)])
    found = signals.read(tmp_path / "a.edf")
    assert found.x.std(axis=0) == pytest.approx([20, 20_000, 0.02, 20], rel=0.1) and "O2 ('%')" in found.notes[0]


def test_channels_of_another_rate_are_named(tmp_path):
    write_edf(tmp_path / "a.edf", channels=[("EEG O1", "uV", 1), ("EEG O2", "uV", 1), ("Resp", "uV", 2)])
    found = signals.read(tmp_path / "a.edf")
    assert found.channels == ["EEG O1", "EEG O2"]
    assert found.notes == ["a.edf: left out, of another sampling rate: Resp (200 Hz)."]


def test_edf_is_read_and_one_cut_short_is_refused(tmp_path):
    write_edf(tmp_path / "a.edf")
    found = signals.read(tmp_path / "a.edf")
    assert found.x.shape == (4000, 2) and found.fs == 100 and found.channels == ["EEG O1", "EEG O2"]
    assert 18 < found.x.std() < 22
    for keep in (5000, 300):
        (tmp_path / "b.edf").write_bytes((tmp_path / "a.edf").read_bytes()[:keep])
        with pytest.raises(MedkitError, match="b.edf.*cut short"):
            signals.read(tmp_path / "b.edf")


def test_csv_needs_a_sampling_rate_or_a_clock(tmp_path):
    path = tmp_path / "a.csv"
    x = heart(10)[0]
    np.savetxt(path, x, delimiter=",", header="I,II", comments="")
    with pytest.raises(MedkitError, match="how many samples per second"):
        signals.read(path)
    assert signals.read(path, fs=FS).x.shape == (1800, 2)
    np.savetxt(path, np.column_stack([np.arange(len(x)) / FS, x]), delimiter=",", header="time,I,II", comments="")
    assert signals.read(path).fs == pytest.approx(FS, rel=1e-3) and signals.read(path).channels == ["I", "II"]
    with pytest.raises(MedkitError, match="you say 360"):
        signals.read(path, fs=360)
    path.write_text("I,II\n1,2\n2,x\n")
    with pytest.raises(MedkitError, match="row 2: the column 'II' should hold a number, but holds 'x'"):
        signals.read(path, fs=FS)
    with pytest.raises(MedkitError, match="There is no file"):
        signals.read(tmp_path / "b.csv", fs=FS)


def test_a_column_that_counts_the_rows_is_no_channel(tmp_path):
    x = heart(10)[0]
    pd.DataFrame(x, columns=["I", "II"]).assign(time=np.arange(len(x)) / FS).to_csv(tmp_path / "a.csv")
    read = signals.read(tmp_path / "a.csv")
    assert read.channels == ["I", "II"] and read.notes == ["a.csv: left out, as it only counts the rows: 'Unnamed: 0'."]


@pytest.mark.parametrize("how", [{"sep": ";", "decimal": ","}, {"sep": "\t"}, {"encoding": "utf-16"},
                                 {"encoding": "cp1252"}])
def test_a_csv_of_any_dialect(tmp_path, how):
    x = heart(10)[0]
    frame = pd.DataFrame({"time": np.round(np.arange(len(x)) / FS, 3), "Größe": x[:, 0], "II": x[:, 1]})
    frame.to_csv(tmp_path / "a.csv", index=False, **how)
    found = signals.read(tmp_path / "a.csv")
    assert found.channels == ["Größe", "II"] and np.allclose(found.x, x) and found.fs == pytest.approx(FS, rel=1e-3)


@pytest.mark.parametrize("spoil, message", [
    (lambda t: np.random.default_rng(0).permutation(t), "the time goes from .* should grow by even steps"),
    (lambda t: t + 5 * (t > 3), "row 542: the time goes from 3.0 to 8.00.*1 such rows"),
    (lambda t: 0 * t, "row 2: the time goes from 0.0 to 0.0"),
    (lambda t: 1000 * t, "a sample lasts 5.55.* milliseconds"),
    (lambda t: np.where(t == 3, np.nan, t), "row 541: the column 'time' is empty")])
def test_a_clock_that_cannot_be_right(tmp_path, spoil, message):
    t = np.arange(1800) / FS
    pd.DataFrame({"time": spoil(t), "I": heart(10)[0][:, 0]}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(MedkitError, match=message):
        signals.read(tmp_path / "a.csv")


def test_a_decimal_comma_that_separates_too(tmp_path):
    (tmp_path / "a.csv").write_text("I\n" + "".join(f"0,{k}\n" for k in range(20)))
    with pytest.raises(MedkitError, match="more cells than its header"):
        signals.read(tmp_path / "a.csv", fs=FS)


def test_mitdb_comes_with_or_without_its_paced_records(tmp_path, monkeypatch):
    """By the AAMI protocol 44 records; all 48 by another name."""
    monkeypatch.setenv("MEDKIT_DATA", str(tmp_path))
    for k, name in enumerate([*waveforms.DS1, *waveforms.DS2, *waveforms.PACED]):
        x, at = heart(5, seed=k)
        save(tmp_path / "mitdb", name, x, at, "N/N" + "N" * (len(at) - 3))
    files = {f.name: "" for f in (tmp_path / "mitdb").iterdir()}
    card = dataclasses.replace(catalog.card("mitdb"), files=files, manifest="")
    monkeypatch.setattr(catalog, "cards", lambda: {"mitdb": card})
    some, whole = waveforms.beats("mitdb"), waveforms.beats("mitdb-all")
    assert len(set(some.record)) == 44 and len(set(whole.record)) == 48 and not set(waveforms.PACED) & set(some.record)
    assert set(whole.record[whole.parts["test"]]) == {*waveforms.DS2, "104", "217"}
    assert any("Paced record 102" in note for note in whole.notes)
    assert sum(map(len, whole.parts.values())) == len(whole.y)


def test_a_users_recordings_are_cut_and_split_by_patient(tmp_path):
    lines = ["file,label,patient"]
    for k in range(12):
        save(tmp_path, f"r{k}", heart(seed=k)[0])
        lines.append(f"r{k}.hea,{'ill' if k % 2 else 'well'},p{k // 2 if k > 9 else k}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    data = recordings.recordings(tmp_path, seconds=5)
    assert data.X.shape == (12 * 8, 900, 2) and data.classes == ["well", "ill"] and data.fs == FS
    assert not set(data.patients[data.parts["train"]]) & set(data.patients[data.parts["test"]])
    with pytest.raises(MedkitError, match="shorter than one window"):
        recordings.recordings(tmp_path, seconds=500)
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(MedkitError, match="has no labels.csv. Recordings need one"):
        recordings.recordings(tmp_path)


def test_the_hospital_gives_the_same_shapes():
    data = waveforms.beats(seed=1)
    assert data.windows.shape == (len(data.y), 108, 2) and "Simulated" in data.notes[0]
    assert all((data.y[data.parts["test"]] == c).sum() >= 10 for c in (0, 1, 2))
    assert not set(data.patients[data.parts["train"]]) & set(data.patients[data.parts["test"]])
    eeg = recordings.recordings("virtual-hospital-eeg")
    assert eeg.X.shape == (900, 400, 19) and 0.02 < eeg.y.mean() < 0.4


def test_unknown_names_are_told():
    with pytest.raises(MedkitError, match="Did you mean 'mitdb'"):
        waveforms.beats("mitbd")
    with pytest.raises(MedkitError, match="Did you mean 'ptbxl'"):
        recordings.recordings("ptb-xl")


def test_the_cache_rebuilds_what_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKIT_DATA", str(tmp_path))
    made = []

    def make():
        made.append(1)
        return {"x": np.arange(5), "names": np.array(["a", "b"])}

    for _ in range(2):
        assert cache.cached("thing", [1], make)["x"].tolist() == [0, 1, 2, 3, 4]
    assert len(made) == 1
    assert cache.cached("thing", [2], make) and len(made) == 2, "another key, another file"
    for file in (fetch.root() / "made").iterdir():
        file.write_bytes(file.read_bytes()[:60])
    assert cache.cached("thing", [1], make)["names"].tolist() == ["a", "b"] and len(made) == 3
