/**
 * Commands of Debian's static busybox. In the VM's root each becomes a link unless a package brings the real tool; the
 * welcome image has nothing but these. (Listed here since an arm64 busybox can't be asked on x64.)
 */
const ALL = `
[ [[ acpid adjtimex ar arch arp arping ascii ash awk base64 basename bc blkdiscard blockdev brctl bunzip2 bzcat bzip2 cal cat
chgrp chmod chown chroot chvt clear cmp cp cpio crc32 cut date dc dd depmod devmem df diff dirname dmesg dnsdomainname dos2unix
du echo ed egrep env expand expr factor fallocate false fatattr fdisk fgrep find findfs fold free fsfreeze fstrim ftpget ftpput
getfattr getopt getty grep groups gunzip gzip halt head hexdump hostid hostname httpd hwclock id ifconfig init insmod install
ionice ip ipcalc kill killall last less link linux32 linux64 ln logger login losetup ls lsmod lzcat lzma md5sum microcom
mkdir mkdosfs mkfifo mknod mkpasswd mktemp modinfo modprobe more mount mt mv nbd-client nc netstat nl nologin nproc nsenter
nslookup nuke od partprobe passwd paste patch pidof ping ping6 pivot_root poweroff printf ps pwd rdate readlink realpath reboot
renice reset resume rev rm rmdir rmmod route run-parts sed seq setpriv setsid sh sha1sum sha256sum sha3sum sha512sum shred shuf
sleep sort ssl_client stat strings stty su switch_root sync sysctl tac tail tar taskset tee telnet test tftp time timeout top
touch tr traceroute traceroute6 true truncate ts tty umount uname uncompress unexpand uniq unix2dos unlink unlzma unshare unxz
unzip uptime usleep uudecode uuencode vi w watch wc wget which who whoami xargs xxd xz xzcat yes zcat`;

export const BUSYBOX_APPLETS: string[] = ALL.trim().split(/\s+/);

/** Not for a container: they manage a whole machine. */
const MACHINE_ONLY =
  /^(acpid|adjtimex|depmod|devmem|getty|halt|hwclock|init|insmod|login|mkdosfs|modinfo|modprobe|nbd-client|nuke|partprobe|pivot_root|poweroff|reboot|resume|rmmod|switch_root|tftp|chvt|mt|su|passwd)$/;

export const WELCOME_APPLETS: string[] = BUSYBOX_APPLETS.filter((name) => !MACHINE_ONLY.test(name));
