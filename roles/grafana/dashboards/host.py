"""A machine: what it has, and what is used of it."""

from dashboard import dashboard, variable
from panels import ANY_IS_BAD, GREEN, LIMITS, RED, YELLOW, compare, query, series, stat

HERE = 'instance="$instance"'
DISKS = f'{HERE}, fstype!~"tmpfs|ramfs"'
WIRES = f'{HERE}, device!~"lo|docker.*|br-.*|veth.*"'

HOST = dashboard(
    "host",
    "Host",
    "One machine: processors, memory, disks and network, from node_exporter.",
    [
        ("", 4, [
            stat("Up since", "Time since the machine started.",
                 query(f"time() - node_boot_time_seconds{{{HERE}}}"), unit="s"),
            stat("CPU", "Share of all processors that is busy.",
                 query(f'1 - avg(rate(node_cpu_seconds_total{{{HERE}, mode="idle"}}[$__rate_interval]))'),
                 unit="percentunit", steps=LIMITS),
            stat("Memory", "Share that programs could not get any more.",
                 query(f"1 - node_memory_MemAvailable_bytes{{{HERE}}} / node_memory_MemTotal_bytes{{{HERE}}}"),
                 unit="percentunit", steps=LIMITS),
            stat("Fullest disk", "Use of the file system that has least left.",
                 query(f"max(1 - node_filesystem_avail_bytes{{{DISKS}}} / node_filesystem_size_bytes{{{DISKS}}})"),
                 unit="percentunit", steps=LIMITS),
            stat("Load per processor", "Programs that run or wait for the disk, for each processor.",
                 query(f'node_load5{{{HERE}}} / on (instance) count by (instance)'
                       f' (node_cpu_seconds_total{{{HERE}, mode="idle"}})'),
                 decimals=2, steps=((None, GREEN), (1, YELLOW), (2, RED))),
            stat("Killed for memory", "Programs that the kernel ended in the time shown.",
                 query(f"increase(node_vmstat_oom_kill{{{HERE}}}[$__range])"), decimals=0, steps=ANY_IS_BAD),
        ]),
        ("Processors and memory", 8, [
            series("CPU by mode", "Share of all processors, by what they do.",
                   query(f'sum by (mode) (rate(node_cpu_seconds_total{{{HERE}, mode!="idle"}}[$__rate_interval]))'
                         f' / on () group_left count(node_cpu_seconds_total{{{HERE}, mode="idle"}})', "{{mode}}"),
                   unit="percentunit", stack=True),
            series("Memory", "What is used by programs, holds files, or is free.",
                   query(f"node_memory_MemTotal_bytes{{{HERE}}} - node_memory_MemAvailable_bytes{{{HERE}}}", "used"),
                   query(f"node_memory_MemAvailable_bytes{{{HERE}}} - node_memory_MemFree_bytes{{{HERE}}}",
                         "reclaimable"),
                   query(f"node_memory_MemFree_bytes{{{HERE}}}", "free"), unit="bytes", stack=True),
            series("Pressure", "Share of time in which some program waited for it.",
                   query(f"rate(node_pressure_cpu_waiting_seconds_total{{{HERE}}}[$__rate_interval])", "CPU"),
                   query(f"rate(node_pressure_memory_waiting_seconds_total{{{HERE}}}[$__rate_interval])", "memory"),
                   query(f"rate(node_pressure_io_waiting_seconds_total{{{HERE}}}[$__rate_interval])", "disk"),
                   unit="percentunit"),
        ]),
        ("Disks", 8, [
            compare("File systems", "Use of each file system.",
                    query(f"max by (mountpoint) (1 - node_filesystem_avail_bytes{{{DISKS}}}"
                          f" / node_filesystem_size_bytes{{{DISKS}}})", "{{mountpoint}}", now=True)),
            series("Space left", "What programs can still write.",
                   query(f"min by (device) (node_filesystem_avail_bytes{{{DISKS}}})", "{{device}}"), unit="bytes"),
            series("Read and written", "Traffic of the disks.",
                   query(f"sum(rate(node_disk_read_bytes_total{{{HERE}}}[$__rate_interval]))", "read"),
                   query(f"sum(rate(node_disk_written_bytes_total{{{HERE}}}[$__rate_interval]))", "written"),
                   unit="Bps"),
            series("Disks busy", "Share of time in which the disk had something to do.",
                   query(f"rate(node_disk_io_time_seconds_total{{{HERE}}}[$__rate_interval])", "{{device}}"),
                   unit="percentunit"),
        ]),
        ("Network and clock", 8, [
            series("Traffic", "What the machine's own interfaces receive and send.",
                   query(f"rate(node_network_receive_bytes_total{{{WIRES}}}[$__rate_interval])", "{{device}} in"),
                   query(f"rate(node_network_transmit_bytes_total{{{WIRES}}}[$__rate_interval])", "{{device}} out"),
                   unit="Bps"),
            series("Errors and drops", "Packets that were lost at the interfaces.",
                   query(f"sum(rate(node_network_receive_errs_total{{{WIRES}}}[$__rate_interval]))", "errors in"),
                   query(f"sum(rate(node_network_transmit_errs_total{{{WIRES}}}[$__rate_interval]))", "errors out"),
                   query(f"sum(rate(node_network_receive_drop_total{{{WIRES}}}[$__rate_interval]))", "dropped in"),
                   query(f"sum(rate(node_network_transmit_drop_total{{{WIRES}}}[$__rate_interval]))", "dropped out"),
                   unit="pps"),
            series("Connections", "Open TCP connections, and what the firewall keeps track of.",
                   query(f"node_netstat_Tcp_CurrEstab{{{HERE}}}", "TCP"),
                   query(f"node_nf_conntrack_entries{{{HERE}}}", "tracked")),
            series("Clock", "How far the kernel takes the clock to be off.",
                   query(f"node_timex_offset_seconds{{{HERE}}}", "offset"), unit="s", low=None),
        ]),
    ],
    variables=(variable("instance", "Machine", "node_uname_info"),),
)  # fmt: skip
