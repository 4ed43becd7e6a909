"""The memory that hashing passwords takes: 20 MB for each that is hashed at a time, and nothing afterwards."""

import platform
import subprocess
import sys

import pytest

HASHES = """
import asyncio, psutil
from api.services.passwords import Passwords, give_back_blocks

async def main():
    passwords = Passwords(memory_kib=19_456, iterations=1, threads=1, queue_max=16)
    before = psutil.Process().memory_info().rss
    for number in range(4):
        await passwords.hash(f"some password {number}")
    print(psutil.Process().memory_info().rss - before)
    passwords.close()

give_back_blocks()
asyncio.run(main())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_what_a_password_took_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", HASHES], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 5_000_000
