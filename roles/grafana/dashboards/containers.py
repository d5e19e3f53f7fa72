"""The containers of a machine: use against limits, health and restarts, from cAdvisor."""

from dashboard import dashboard, variable
from panels import ANY_IS_BAD, GREEN, LIMITS, RED, YELLOW, compare, lines, query, series, stat, states

HERE = 'instance="$instance", name!=""'
WORKING_SET = f"sum by (name) (container_memory_working_set_bytes{{{HERE}}})"
MEMORY_LIMIT = f"sum by (name) (container_spec_memory_limit_bytes{{{HERE}}} > 0)"
CPU = f"sum by (name) (rate(container_cpu_usage_seconds_total{{{HERE}}}[$__rate_interval]))"
CPU_LIMIT = f"sum by (name) (container_spec_cpu_quota{{{HERE}}} / container_spec_cpu_period{{{HERE}}})"
HEALTH = {"-1": ("no check", YELLOW), "0": ("unhealthy", RED), "1": ("healthy", GREEN)}
LINES = [lines("Lines of the container", "&var-host=$instance&var-container=${__field.labels.name}")]

CONTAINERS = dashboard(
    "containers",
    "Containers",
    "What the containers of one machine use of what they may, and how they are.",
    [
        ("", 4, [
            stat("Containers", "Containers that run.",
                 query(f"count(container_start_time_seconds{{{HERE}}})")),
            stat("Unhealthy", "Containers whose health check fails.",
                 query(f"count(container_health_state{{{HERE}}} == 0) or vector(0)"), steps=ANY_IS_BAD),
            # container_start_time_seconds is when Docker created the container, and stays the same over a restart.
            stat("Restarts", "Restarts in the time shown, known by counters that began anew.",
                 query(f"sum(resets(container_cpu_usage_seconds_total{{{HERE}}}[$__range]))"), decimals=0,
                 steps=((None, GREEN), (1, YELLOW), (10, RED))),
            stat("Killed for memory", "Programs in containers that the kernel ended in the time shown.",
                 query(f"sum(increase(container_oom_events_total{{{HERE}}}[$__range]))"), decimals=0, steps=ANY_IS_BAD),
            stat("Closest to its memory limit", "Use of the container that has least left.",
                 query(f"max({WORKING_SET} / {MEMORY_LIMIT})"), unit="percentunit", steps=LIMITS),
            stat("Closest to its CPU limit", "Use of the container that has least left.",
                 query(f"max({CPU} / {CPU_LIMIT})"), unit="percentunit", steps=LIMITS),
        ]),
        ("Against their limits", 11, [
            compare("Memory", "Share of the memory limit that cannot be reclaimed.",
                    query(f"sort_desc({WORKING_SET} / {MEMORY_LIMIT})", "{{name}}", now=True), links=LINES),
            compare("CPU", "Share of the CPU limit.",
                    query(f"sort_desc({CPU} / {CPU_LIMIT})", "{{name}}", now=True), links=LINES),
            compare("Throttled", "Share of scheduling periods in which the CPU limit was reached.",
                    query(f"sum by (name) (rate(container_cpu_cfs_throttled_periods_total{{{HERE}}}[$__rate_interval]))"
                          f" / sum by (name) (rate(container_cpu_cfs_periods_total{{{HERE}}}[$__rate_interval]))",
                          "{{name}}", now=True), steps=((None, GREEN), (0.25, YELLOW), (0.5, RED)), links=LINES),
        ]),
        ("Over time", 9, [
            states("Health", "What the health checks say.",
                   query(f"min by (name) (container_health_state{{{HERE}}})", "{{name}}"), mappings=HEALTH),
            series("Memory", "Memory that cannot be reclaimed.", query(WORKING_SET, "{{name}}"), unit="bytes",
                   links=LINES),
            series("CPU", "Processors used.", query(CPU, "{{name}}"), unit="none", links=LINES),
        ]),
        ("", 8, [
            series("Age", "Time since each container was made; a restart does not change it.",
                   query(f"time() - max by (name) (container_start_time_seconds{{{HERE}}})", "{{name}}"), unit="s"),
            series("Received", "Network traffic into the containers.",
                   query(f"sum by (name) (rate(container_network_receive_bytes_total{{{HERE}}}[$__rate_interval]))",
                         "{{name}}"), unit="Bps"),
            series("Sent", "Network traffic out of the containers.",
                   query(f"sum by (name) (rate(container_network_transmit_bytes_total{{{HERE}}}[$__rate_interval]))",
                         "{{name}}"), unit="Bps"),
        ]),
    ],
    variables=(variable("instance", "Machine", 'container_start_time_seconds{name!=""}'),),
)  # fmt: skip
