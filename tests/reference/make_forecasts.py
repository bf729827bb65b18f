"""Write `forecasts.json`: what statsforecast forecasts of made series.

    python make_forecasts.py

Its optimisers stop early, so that of what is optimised only the minimum can be compared: no less than it, and not much more.
"""

import json

import numpy as np
from statsforecast.ets import ets_f, forecast_ets
from statsforecast.models import TSB, CrostonClassic, CrostonSBA, SimpleExponentialSmoothing
from statsforecast.theta import auto_theta, forecast_theta

from common import HERE, SEED, record

PACKAGES = ("numpy", "scipy", "statsforecast", "statsmodels")
HORIZON = 12


def series() -> dict[str, tuple[int, np.ndarray]]:
    """Name, season, values."""
    random = np.random.default_rng(SEED)
    time = np.arange(96)
    season = 1 + 0.3 * np.sin(2 * np.pi * time / 12)
    demand = random.poisson(0.3, 120) * random.integers(1, 9, 120)
    return {
        "monthly": (12, (100 + time + random.normal(0, 4, 96)) * season),
        "quarterly": (4, 50 + 0.3 * time[:44] + np.tile([4.0, -3.0, 6.0, -7.0], 11) + random.normal(0, 1.5, 44)),
        "walk": (1, 100 + np.cumsum(random.normal(0, 2, 60))),
        "line": (1, 20 + 1.5 * time[:40] + random.normal(0, 3, 40)),
        "short": (1, np.array([12.0, 15.5, 14.2, 18.9, 17.3, 21.0, 20.2, 24.8, 23.1, 27.5, 26.0, 30.4])),
        "demand": (1, demand.astype(float)),
    }


def theta(values: np.ndarray, season: int) -> dict:
    """Both optimised models: their minimum, parameters and forecasts."""
    result = {}
    for model in ("OTM", "DOTM"):
        fit = auto_theta(values, season, model)
        result[model] = {
            "mse": float(fit["mse"]),
            "alpha": float(fit["par"]["alpha"]),
            "theta": float(fit["par"]["theta"]),
            "seasonal": bool(fit.get("decompose", False)),
            "forecast": forecast(fit, season).tolist(),
        }
    return result


def forecast(fit: dict, season: int) -> np.ndarray:
    """With the season put back."""
    mean = forecast_theta(fit, HORIZON)["mean"]
    return np.asarray(mean)


def ets(values: np.ndarray, season: int) -> dict:
    """The forms that can be fitted: AICc, and forecasts of those without a season."""
    forms = [("ANN", False), ("AAN", True), ("MNN", False), ("MAN", True)]
    if season > 1:
        forms += [("ANA", False), ("AAA", True), ("MNM", False), ("MAM", True)]
    result = {}
    for form, damped in forms:
        fit = ets_f(values, season, model=form, damped=damped)
        mean = forecast_ets(fit, HORIZON)["mean"]
        name = form[0] + ("Ad" if damped else "N") + form[2]
        result[name] = {"aicc": float(fit["aicc"]), "forecast": np.asarray(mean).tolist()}
    return result


def fixed(values: np.ndarray) -> dict:
    """Methods whose parameters are given."""
    models = {
        "ses": SimpleExponentialSmoothing(alpha=0.3),
        "croston": CrostonClassic(),
        "sba": CrostonSBA(),
        "tsb": TSB(alpha_d=0.2, alpha_p=0.1),
    }
    return {name: float(model.forecast(values, 1)["mean"][0]) for name, model in models.items()}


def main() -> None:
    """All series."""
    result = []
    for name, (season, values) in series().items():
        case = {"name": name, "season": season, "values": values.tolist(), "fixed": fixed(values)}
        if name != "demand":
            case |= {"theta": theta(values, season), "ets": ets(values, season)}
        result.append(case)
    (HERE / "forecasts.json").write_text(json.dumps(result, indent=1) + "\n")
    record(*PACKAGES)


if __name__ == "__main__":
    main()
