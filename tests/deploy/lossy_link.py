"""Joins two network interfaces and loses, delays and reorders frames between them: what `tc netem`
does, for kernels without it.

    lossy_link.py A B --loss 0.02 --delay-ms 10 --jitter-ms 5
    lossy_link.py --plain A        switches A's checksum and segmentation offload off

Frames of a peer that leaves checksums to its card would arrive broken: hence `--plain`."""
import argparse
import ctypes
import fcntl
import heapq
import random
import select
import signal
import socket
import struct
import sys
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4
SIOCETHTOOL = 0x8946
OFFLOADS = (0x17, 0x15, 0x1F, 0x24, 0x2C)  # tx and rx checksums, TSO, GSO, GRO: ETHTOOL_S...
FRAME_BYTES_MAX = 65_535
QUEUE_MAX = 10_000


def make_plain(name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            request = struct.pack("16sP", name.encode(), ctypes.addressof(value))
            try:
                fcntl.ioctl(control, SIOCETHTOOL, request)
            except OSError as error:
                print(f"{name}: {command:#x}: {error}", file=sys.stderr)


def open_link(name: str) -> socket.socket:
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    link.bind((name, 0))
    return link


def forward(names: list[str], loss: float, delay_s: float, jitter_s: float) -> None:
    chance = random.Random(1)
    links = [open_link(name) for name in names]
    peers = {links[0]: links[1], links[1]: links[0]}
    waiting: list[tuple[float, int, socket.socket, bytes]] = []
    seen = lost = 0
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    print("ready", flush=True)
    while not stopping:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, link, frame = heapq.heappop(waiting)
            link.send(frame)
        left = max(waiting[0][0] - now, 0) if waiting else 0.1
        for link in select.select(links, [], [], left)[0]:
            frame, (_, _, kind, *_) = link.recvfrom(FRAME_BYTES_MAX)
            if kind == PACKET_OUTGOING:
                continue
            seen += 1
            if chance.random() < loss or len(waiting) >= QUEUE_MAX:
                lost += 1
                continue
            due = time.monotonic() + delay_s + chance.uniform(0, jitter_s)
            heapq.heappush(waiting, (due, seen, peers[link], frame))
    print(f"{seen} frames, {lost} lost", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--loss", type=float, default=0)
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--jitter-ms", type=float, default=0)
    parser.add_argument("links", nargs="+")
    options = parser.parse_args()
    if options.plain:
        for name in options.links:
            make_plain(name)
    else:
        forward(options.links, options.loss, options.delay_ms / 1e3, options.jitter_ms / 1e3)


if __name__ == "__main__":
    main()
