"""One workload under Unicorn: unicorn_once.py FLAT ENTRY WHICH BYTES FILE prints the result and the two times."""
import sys
import time
from unicorn import UC_ARCH_X86, UC_MODE_64, Uc
from unicorn.x86_const import UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDI, UC_X86_REG_RDX, UC_X86_REG_RSI, UC_X86_REG_RSP

flat, code, which, size, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
BUFFER, STACK, RETURN = 0x4000_0000, 0x2000_0000, 0x3000_0000
uc = Uc(UC_ARCH_X86, UC_MODE_64)
room = (size + 4095) & ~4095
scratch = BUFFER + room
uc.mem_map(code, 0x10000)
uc.mem_map(STACK - 0x10000, 0x10000)
uc.mem_map(RETURN, 4096)
uc.mem_map(BUFFER, 3 * room + 65536)
with open(flat, 'rb') as file:
    uc.mem_write(code, file.read())
with open(path, 'rb') as file:
    uc.mem_write(BUFFER, file.read(size))
uc.mem_write(scratch, b'\x01' * (2 * room + 65536))
uc.mem_write(STACK - 8, RETURN.to_bytes(8, 'little'))
for register, value in ((UC_X86_REG_RDI, which), (UC_X86_REG_RSI, BUFFER), (UC_X86_REG_RDX, size),
                        (UC_X86_REG_RCX, scratch), (UC_X86_REG_RSP, STACK - 8)):
    uc.reg_write(register, value)
own, wall = time.process_time(), time.monotonic()
uc.emu_start(code, RETURN)
own, wall = time.process_time() - own, time.monotonic() - wall
print(uc.reg_read(UC_X86_REG_RAX), f'{own:.9f} {wall:.9f}')
