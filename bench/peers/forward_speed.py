#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stars a second from mass and age to noisy magnitudes: our forward model against the vectorised use of dust_extinction,
pyphot and speclite on the same stars. The peers get the spectra, which ours has to interpolate, and no evolution and no
noise; their dust law is a precomputed curve, applied by numpy. Each side uses as many threads (ours) or processes
(theirs). Needs setup.sh --forward and the data folders ck04, isochrones_parsec_fsps, gaiaxpy_instrument."""

import argparse
import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYPHOT_BANDS = ["GaiaDR2_G", "GaiaDR2_BP", "GaiaDR2_RP", "2MASS_J", "2MASS_H", "2MASS_Ks", "WISE_RSR_W1", "WISE_RSR_W2",
                "WISE_RSR_W3", "WISE_RSR_W4"]
SPECLITE_BANDS = ["gaiadr3-G", "gaiadr3-BP", "gaiadr3-RP", "twomass-J", "twomass-H", "twomass-Ks", "wise2010-W1",
                  "wise2010-W2", "wise2010-W3", "wise2010-W4"]


def in_parts(work, parts):
    """The wall time of `work(k, parts)` in as many forked processes."""
    if parts == 1:
        begin = time.perf_counter()
        work(0, 1)
        return time.perf_counter() - begin
    context = multiprocessing.get_context("fork")
    ready, go = context.Barrier(parts + 1), context.Barrier(parts + 1)

    def run(k):
        ready.wait()
        work(k, parts)
        go.wait()
    children = [context.Process(target=run, args=(k,)) for k in range(parts)]
    for child in children:
        child.start()
    ready.wait()
    begin = time.perf_counter()
    go.wait()
    seconds = time.perf_counter() - begin
    for child in children:
        child.join()
        if child.exitcode != 0:
            sys.exit(f"a peer's process ended with {child.exitcode}")
    return seconds


def part(array, k, parts):
    return array[k * len(array) // parts:(k + 1) * len(array) // parts]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/bench/bench_forward_peer")
    parser.add_argument("--data", default=os.environ.get("SBI_DATA_DIR", str(ROOT / "../shared/data")))
    parser.add_argument("--stars", type=int, default=200_000, help="of ours")
    parser.add_argument("--peer-stars", type=int, default=4000, help="of the peers, the first of ours")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", help="also write all figures there")
    args = parser.parse_args()
    for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
        os.environ[f"{name}_NUM_THREADS"] = "1"  # the processes are the peers' parallelism

    import importlib.metadata
    import warnings
    warnings.simplefilter("ignore")
    import astropy.units as u
    import numpy as np
    import pyphot
    import speclite.filters
    from dust_extinction.parameter_averages import CCM89

    with tempfile.TemporaryDirectory() as folder:
        def ours(*extra):
            command = [args.program, "--data", args.data, "--stars", str(args.stars), "--threads", str(args.threads),
                       *extra]
            return json.loads(subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout)
        figures = ours("--write", folder, "--write-stars", str(args.peer_stars), "--repeats", "1")
        wavelengths = np.load(f"{folder}/wavelengths.npy")  # micron
        flux, a_v = np.load(f"{folder}/flux.npy"), np.load(f"{folder}/a_v.npy")
        magnitudes = np.load(f"{folder}/magnitudes.npy")

    angstrom = wavelengths * 1e4
    x = 1 / wavelengths
    valid = (x >= 0.3) & (x <= 10)
    curve = np.zeros_like(wavelengths)
    curve[valid] = CCM89(Rv=3.1)(x[valid] / u.micron)
    beyond = x < 0.3  # the power law that ours continues by
    curve[beyond] = (0.574 - 0.527 / 3.1) * x[beyond] ** 1.61

    library = pyphot.get_library()
    pyphot_bands = [library[name] for name in PYPHOT_BANDS]
    speclite_bands = speclite.filters.load_filters(*SPECLITE_BANDS)
    # Both want every wavelength of a band inside the spectrum, which these spectra fulfil.
    dusty = flux * 10 ** (-0.4 * a_v[:, None] * curve)

    def dust(k, parts):
        f = part(flux, k, parts)
        return f * np.exp(-0.4 * np.log(10) * part(a_v, k, parts)[:, None] * curve)

    def pyphot_photometry(k, parts):
        f = part(dusty, k, parts) * u.Unit("erg / (s cm2 AA)")
        return [band.get_flux(angstrom * u.AA, f, axis=1) for band in pyphot_bands]

    def speclite_photometry(k, parts):
        f = part(dusty, k, parts) * speclite.filters.default_flux_unit
        return speclite_bands.get_ab_maggies(f, angstrom * u.Angstrom)
    peers = {"numpy dust (dust_extinction's curve)": dust,
             f"pyphot, {len(pyphot_bands)} bands": pyphot_photometry,
             f"speclite, {len(SPECLITE_BANDS)} bands": speclite_photometry}
    times = {name: [] for name in peers}
    rates = {}
    for _ in range(args.rounds):
        for name, work in peers.items():
            times[name].append(in_parts(work, args.threads))
        for name, rate in ours("--repeats", "3")["stars_per_second"].items():
            rates.setdefault(name, []).append(rate)

    table = speclite_photometry(0, 1)
    theirs = np.stack([-2.5 * np.log10(np.asarray(table[name])) for name in table.colnames], axis=1)
    ab = np.array([figures["ab_minus_vega"][name] for name in ("G", "BP", "RP", "J", "H", "Ks", "W1", "W2", "W3", "W4")])
    difference = np.median(np.abs(magnitudes + ab - theirs), axis=0)
    lines = [[name, statistics.median(values)] for name, values in rates.items()]
    peer_rates = {name: args.peer_stars / statistics.median(values) for name, values in times.items()}
    lines += list(map(list, peer_rates.items()))
    names = list(peer_rates)
    chains = {f"{names[0]} + {names[k]}": 1 / (1 / peer_rates[names[0]] + 1 / peer_rates[names[k]]) for k in (1, 2)}
    lines += list(map(list, chains.items()))
    best = max(chains.values())
    mine = statistics.median(rates["evolution to noisy magnitudes"])
    versions = {p: importlib.metadata.version(p) for p in ("dust_extinction", "pyphot", "speclite", "numpy", "astropy")}
    print(f"{args.threads} threads; " + ", ".join(f"{p} {v}" for p, v in versions.items()) + "; ours: " + figures["machine"])
    if args.markdown:
        print("\n| | stars a second |\n|---|--:|")
        for name, rate in lines:
            print(f"| {name} | {rate:,.0f} |")
    else:
        for name, rate in lines:
            print(f"{rate:12,.0f}  {name}")
    print(f"\nours over the faster chain of peers: {mine / best:.0f} (wanted >= 20)")
    print("median difference of magnitudes, ours - speclite [mag]: "
          + ", ".join(f"{n} {d:.4f}" for n, d in zip(SPECLITE_BANDS, difference)))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(
            {"versions": versions, "ours": figures, "rates": dict(lines), "ratio": mine / best}, indent=1) + "\n")


if __name__ == "__main__":
    main()
