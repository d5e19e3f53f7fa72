"use strict";

// The page is complete without this; it adds what Prometheus knows at the moment.
const PROMETHEUS = document.body.dataset.prometheus;
const PERIOD = 30_000;
const PATIENCE = 10_000;
// An application is up if the probe of its page is answered. What is on no network is as healthy as cAdvisor sees it.
const TARGETS = `{__name__=~"up|pg_up|redis_up"} or probe_success{app!=""}
  or label_replace(container_health_state{name="docker-socket-proxy"}, "job", "$1", "name", "(.*)")`;
const ALERTS = 'ALERTS{alertstate="firing"}';
const RANKS = { critical: 0, warning: 1 };

async function query(expression) {
  const url = `${PROMETHEUS}api/v1/query?query=${encodeURIComponent(expression)}`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) {
    throw new Error(`Prometheus answered ${answer.status}`);
  }
  return (await answer.json()).data.result;
}

// One of several targets that is down is enough for their container to be.
function showTargets(samples) {
  const states = new Map();
  for (const { metric, value } of samples) {
    const series = metric.app
      ? `up ${metric.host} ${metric.app}`
      : `${metric.__name__} ${metric.instance} ${metric.job}`;
    if (states.get(series) !== "down") {
      states.set(series, value[1] === "1" ? "up" : "down");
    }
  }
  for (const place of document.querySelectorAll("[data-series]")) {
    const state = states.get(place.dataset.series);
    place.dataset.state = state ?? "unknown";
    place.querySelector(".state")?.replaceChildren(state ?? "–");
  }
}

function showAlerts(samples) {
  const rank = ({ metric }) => RANKS[metric.severity] ?? 2;
  const lines = samples.sort((one, other) => rank(one) - rank(other)).map(({ metric }) => {
    const line = document.createElement("li");
    line.dataset.severity = metric.severity ?? "";
    line.textContent = [metric.severity, metric.alertname, metric.instance, metric.name].filter(Boolean).join(" · ");
    return line;
  });
  if (!lines.length) {
    const line = document.createElement("li");
    line.dataset.severity = "none";
    line.textContent = "None is firing.";
    lines.push(line);
  }
  document.querySelector("#alerts ul").replaceChildren(...lines);
  document.querySelector("#alerts").hidden = false;
}

function showFreshness(text) {
  document.querySelector("#freshness").textContent = text;
}

async function refresh() {
  try {
    const [targets, alerts] = await Promise.all([query(TARGETS), query(ALERTS)]);
    showTargets(targets);
    showAlerts(alerts);
    document.body.classList.add("answers");
    showFreshness(`Live: ${new Date().toLocaleTimeString()}`);
  } catch (error) {
    // What was shown before is of before.
    document.body.classList.remove("answers");
    document.querySelector("#alerts").hidden = true;
    showTargets([]);
    showFreshness(`No live state: ${error.message}`);
  }
}

refresh();
setInterval(() => document.hidden || refresh(), PERIOD);
