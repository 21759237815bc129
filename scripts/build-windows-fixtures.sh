#!/bin/sh
# Builds fixtures/windows/built from the sources beside it, for x64 and x86.
# Debian 12: apt-get install gcc-mingw-w64-x86-64 gcc-mingw-w64-i686 clang lld osslsigncode openssl
set -e
cd "$(dirname "$0")/../fixtures/windows"
ddk=/usr/share/mingw-w64/include/ddk
flags="-O2 -I$ddk -ffreestanding -fno-builtin -fno-ident -mno-stack-arg-probe -Wno-misleading-indentation -Wno-unused -Wno-multichar"
epoch=1700000000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SOURCE_DATE_EPOCH=$epoch

# build NAME TARGET SUFFIX ENTRY [library...]
build() {
    name=$1 target=$2 suffix=$3 entry=$4
    shift 4
    [ -f "$work/$name$suffix.o" ] || $target-gcc $flags -c "$name.c" -o "$work/$name$suffix.o"
    base=0x140000000
    [ "$suffix" = "" ] || base=0x10000
    model=
    [ "$name" != pnp ] || model=--wdmdriver
    $target-ld -s --subsystem native $model -e "$entry" --image-base $base --enable-reloc-section --exclude-all-symbols \
        --dynamicbase --nxcompat --no-insert-timestamp --file-alignment 0x200 --section-alignment 0x1000 \
        --major-os-version 6 --minor-os-version 1 --major-subsystem-version 6 --minor-subsystem-version 1 \
        -o "built/$name$suffix.sys" "$work/$name$suffix.o" "$@" -L/usr/$target/lib -lntoskrnl -lhal
}

for arch in x64 x86; do
    if [ $arch = x64 ]; then
        target=x86_64-w64-mingw32 suffix= entry=DriverEntry flavour=i386:x86-64
    else
        target=i686-w64-mingw32 suffix=-x86 entry=_DriverEntry@8 flavour=i386
    fi
    for name in hello ioctls filter timers trouble failing nounload watcher pnp reach codes; do
        build $name $target "$suffix" $entry
    done
    $target-gcc $flags -c kdll.c -o "$work/kdll$suffix.o"
    $target-ld -s -shared --subsystem native -e $entry --image-base 0x140000 --kill-at --no-insert-timestamp \
        --out-implib "$work/libkdll$suffix.a" -o "$work/kdll.sys" "$work/kdll$suffix.o" -L/usr/$target/lib -lntoskrnl
    mkdir -p built/x86
    if [ $arch = x64 ]; then mv "$work/kdll.sys" built/kdll.sys; else mv "$work/kdll.sys" built/x86/kdll.sys; fi
    if [ $arch = x86 ]; then # names in the file are bare, those in the object decorated
        printf 'LIBRARY kdll.sys\nEXPORTS\nKdllAdd@8\n' >"$work/kdll.def"
        $target-dlltool -m $flavour --kill-at -d "$work/kdll.def" -l "$work/libkdll$suffix.a"
    fi
    build user $target "$suffix" $entry "$work/libkdll$suffix.a"
    decoration=
    [ $arch = x64 ] || decoration=@0
    printf 'LIBRARY ntoskrnl.exe\nEXPORTS\nNoKernelHasThis%s\n' $decoration >"$work/missing.def"
    $target-dlltool -m $flavour --kill-at -d "$work/missing.def" -l "$work/libmissing$suffix.a"
    build missing $target "$suffix" $entry "$work/libmissing$suffix.a"
    bind= unbind=
    [ $arch = x64 ] || bind=@16 unbind=@12
    printf 'LIBRARY WDFLDR.SYS\nEXPORTS\nWdfVersionBind%s\nWdfVersionUnbind%s\n' $bind $unbind >"$work/wdfldr.def"
    $target-dlltool -m $flavour --kill-at -d "$work/wdfldr.def" -l "$work/libwdfldr$suffix.a"
    build kmdf $target "$suffix" $entry "$work/libwdfldr$suffix.a"
    { printf 'LIBRARY FLTMGR.SYS\nEXPORTS\n'
      for name in FltRegisterFilter@12 FltStartFiltering@4 FltUnregisterFilter@4 FltGetFileNameInformation@12 \
          FltParseFileNameInformation@4 FltReleaseFileNameInformation@4 FltAllocateContext@20 FltSetInstanceContext@16 \
          FltGetInstanceContext@8 FltReleaseContext@4; do
          if [ $arch = x64 ]; then echo "${name%@*}"; else echo "$name"; fi
      done; } >"$work/fltmgr.def"
    $target-dlltool -m $flavour --kill-at -d "$work/fltmgr.def" -l "$work/libfltmgr$suffix.a"
    build minifilter $target "$suffix" $entry "$work/libfltmgr$suffix.a"
done

# __try needs clang: on x64 with the tables of MinGW's target, on x86 with the registrations of Microsoft's.
for arch in x64 x86; do
    if [ $arch = x64 ]; then
        target=x86_64-w64-mingw32 suffix= entry=DriverEntry triple=x86_64-w64-mingw32
    else
        target=i686-w64-mingw32 suffix=-x86 entry=_DriverEntry@8 triple=i686-pc-windows-msvc
        printf 'LIBRARY ntoskrnl.exe\nEXPORTS\n_except_handler3\n' >"$work/seh.def"
        $target-dlltool -m i386 -d "$work/seh.def" -l "$work/libseh$suffix.a"
    fi
    clang --target=$triple -O2 -ffreestanding -fno-builtin -fno-ident -fms-extensions -fasynchronous-unwind-tables -c guard.c -o "$work/guard$suffix.o"
    seh=
    [ $arch = x64 ] || seh=$work/libseh$suffix.a
    build probe $target "$suffix" $entry "$work/guard$suffix.o" $seh
done

# Another compiler makes other code of the same comparisons.
for arch in x64 x86; do
    if [ $arch = x64 ]; then
        target=x86_64-w64-mingw32 suffix= entry=DriverEntry
    else
        target=i686-w64-mingw32 suffix=-x86 entry=_DriverEntry@8
    fi
    clang --target=$target -Os -I$ddk -I/usr/$target/include -w -ffreestanding -fno-builtin -fno-ident -c codes.c -o "$work/codes-clang$suffix.o"
    build codes-clang $target "$suffix" $entry
done

# What stands for a kernel: the names that hello.sys and a few others import, and no code behind them.
names="IoCreateDevice IoDeleteDevice IoCreateSymbolicLink IoDeleteSymbolicLink IofCompleteRequest IofCallDriver DbgPrint KeBugCheckEx
    RtlInitUnicodeString ExAllocatePoolWithTag ExFreePoolWithTag IoGetDeviceObjectPointer ObfDereferenceObject"
{ printf 'LIBRARY ntoskrnl.exe\nEXPORTS\n'; for name in $names; do echo "$name=stub"; done; } >"$work/kernel.def"
x86_64-w64-mingw32-gcc $flags -c kernel.c -o "$work/kernel.o"
x86_64-w64-mingw32-ld -s --subsystem native -e stub --image-base 0x140000000 --no-insert-timestamp --major-os-version 10 --minor-os-version 0 \
    --major-subsystem-version 10 --minor-subsystem-version 0 -o built/ntoskrnl.exe "$work/kernel.o" "$work/kernel.def"

# A signed driver and a copy in which one byte of code was changed. The key is thrown away; its certificate is kept as root.
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out built/test-root.pem -days 7300 \
    -subj "/CN=lkm test driver certificate" -addext extendedKeyUsage=codeSigning 2>/dev/null
rm -f built/signed.sys
osslsigncode sign -certs built/test-root.pem -key "$work/key.pem" -h sha256 -ph -n "hello test driver" \
    -in built/hello.sys -out built/signed.sys >/dev/null
python3 - <<'P'
data = bytearray(open('built/signed.sys', 'rb').read())
at = data.index(b'hello: unload')
data[at] = ord('j')
open('built/tampered.sys', 'wb').write(data)
P
# A catalog of hello.sys, and a driver with two signatures by an elliptic curve, the second with a time stamp.
digest=$(osslsigncode verify -in built/signed.sys 2>/dev/null | sed -n 's/^Calculated message digest : *\([0-9A-F]*\).*/\1/p')
python3 ../../scripts/make-catalog.py "$digest" "$work/hello.cat"
rm -f built/hello.cat built/signed-ec.sys
osslsigncode sign -certs built/test-root.pem -key "$work/key.pem" -h sha256 -in "$work/hello.cat" -out built/hello.cat >/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout "$work/ec.pem" -out built/test-ec-root.pem -days 7300 \
    -subj "/CN=lkm test driver certificate (EC)" -addext extendedKeyUsage=codeSigning 2>/dev/null
# The stamp's certificate must have been valid in 2023, and only `openssl ca` takes a first day.
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s/db\nserial=%s/serial\nnew_certs_dir=%s\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n[e]\nextendedKeyUsage=critical,timeStamping\n' \
    "$work" "$work" "$work" >"$work/ca.cnf"
: >"$work/db"
echo 01 >"$work/serial"
openssl req -newkey rsa:2048 -nodes -keyout "$work/tsa.pem" -out "$work/tsa.csr" -subj "/CN=lkm test time stamps" 2>/dev/null
openssl ca -batch -selfsign -config "$work/ca.cnf" -extensions e -keyfile "$work/tsa.pem" -in "$work/tsa.csr" \
    -out "$work/tsa-cert.pem" -notext -startdate 20200101000000Z -enddate 20400101000000Z 2>/dev/null
osslsigncode sign -certs built/test-ec-root.pem -key "$work/ec.pem" -h sha1 -in built/hello.sys -out "$work/once.sys" >/dev/null
osslsigncode sign -certs built/test-ec-root.pem -key "$work/ec.pem" -h sha256 -nest -TSA-certs "$work/tsa-cert.pem" \
    -TSA-key "$work/tsa.pem" -TSA-time $epoch -in "$work/once.sys" -out built/signed-ec.sys >/dev/null
ls -l built built/x86
