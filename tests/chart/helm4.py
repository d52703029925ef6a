"""Renders the chart by Helm 4: `helm4.py CHART <<<'{"NAME": values, …}'` prints `{"NAME": {"rendered": {template: text}}, …}`,
or `{"refused": why}` where it does not."""

import json
import sys

from helm_python import Chart, HelmError

chart = Chart.load(sys.argv[1])


def render(values):
    try:
        return {"rendered": chart.render(values, name="sluice", namespace="shop")}
    except HelmError as error:
        return {"refused": str(error)}


json.dump({name: render(values) for name, values in json.load(sys.stdin).items()}, sys.stdout)
