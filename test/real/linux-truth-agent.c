/*
 * The first process of the small machine in which test/golden/linux is recorded. It reads steps from /steps, carries
 * them out one by one and reports after each, on the second serial port: what was printed, how it ended, what the
 * kernel logged, /proc/modules and the taint. Lines of the report begin with '@' and a word:
 *
 *   @step TEXT   @out TEXT   @rc N   @errno N   @log LEVEL TEXT   @module LINE   @taint N   @stuck   @done
 *
 * Steps run in a child, because a kernel oops kills the process that met it, and a dead first process is a panic.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_STEPS 2000
#define MAX_WORDS 16
#define MAX_FILES 32
#define MAX_JOBS 8
#define PATIENCE 45 /* seconds for one step */
#define BACKGROUND "/tmp/background"

static char *steps[MAX_STEPS];
static int step_count;
static int report_fd, kmsg_fd;

static volatile struct {
	int next;
	time_t began;
} *shared;

static int files[MAX_FILES];
static pid_t jobs[MAX_JOBS];
static int job_count;

static void report(const char *format, ...)
{
	static char line[70000];
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(line, sizeof(line) - 1, format, list);
	va_end(list);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	for (int at = 0; at < n;) {
		ssize_t wrote = write(report_fd, line + at, n - at);

		if (wrote < 0)
			return;
		at += wrote;
	}
}

static void report_lines(const char *word, char *text)
{
	char *line = strtok(text, "\n");

	for (; line; line = strtok(NULL, "\n"))
		report("@%s %s", word, line);
}

/* Printed text, with what is not printable as \xNN so that a line stays a line. */
static void report_bytes(const unsigned char *bytes, ssize_t n)
{
	char text[8200];
	int at = 0;

	for (ssize_t i = 0; i < n && at < 8000; i++) {
		if (bytes[i] == '\n' && i == n - 1)
			break;
		if (bytes[i] == '\n')
			at += sprintf(text + at, "\n@out ");
		else if (bytes[i] < 32 || bytes[i] > 126)
			at += sprintf(text + at, "\\x%02x", bytes[i]);
		else
			text[at++] = bytes[i];
	}
	text[at] = 0;
	report("@out %s", text);
}

static void drain_log(int quiet)
{
	char record[9000];

	for (;;) {
		ssize_t n = read(kmsg_fd, record, sizeof(record) - 1);
		char *text, *end;

		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0)
			return;
		record[n] = 0;
		text = strchr(record, ';');
		if (!text || quiet)
			continue;
		end = strchr(++text, '\n');
		if (end)
			*end = 0;
		report("@log %d %s", atoi(record) & 7, text);
	}
}

/* Out of the way of the numbers that files have in steps. */
static int high(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3 + MAX_FILES);

	close(fd);
	return moved;
}

static int slurp(const char *path, char *into, size_t size)
{
	int fd = open(path, O_RDONLY);
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		return -1;
	while (used < size - 1 && (n = read(fd, into + used, size - 1 - used)) > 0)
		used += n;
	into[used] = 0;
	close(fd);
	return used;
}

static void report_state(void)
{
	static char text[65536];

	drain_log(0);
	if (slurp("/proc/modules", text, sizeof(text)) > 0)
		report_lines("module", text);
	if (slurp("/proc/sys/kernel/tainted", text, sizeof(text)) > 0)
		report_lines("taint", text);
}

/* Splits at spaces; "..." keeps them, and \n, \0, \xNN, \" are known inside. */
static int split(const char *line, char words[MAX_WORDS][512])
{
	int count = 0;

	while (count < MAX_WORDS) {
		int at = 0, quoted = 0;

		while (*line == ' ')
			line++;
		if (!*line)
			break;
		for (; *line && (quoted || *line != ' ') && at < 511; line++) {
			if (*line == '"') {
				quoted = !quoted;
			} else if (quoted && *line == '\\' && line[1]) {
				line++;
				if (*line == 'n')
					words[count][at++] = '\n';
				else if (*line == 'x')
					words[count][at++] = strtol((char[]){ line[1], line[2], 0 }, NULL, 16), line += 2;
				else
					words[count][at++] = *line;
			} else {
				words[count][at++] = *line;
			}
		}
		words[count++][at] = 0;
	}
	return count;
}

static long number(const char *text)
{
	return *text == '-' ? strtol(text, NULL, 0) : (long)strtoul(text, NULL, 0);
}

static void finish(long result)
{
	if (result < 0) {
		report("@out %s", strerror(errno));
		report("@rc 1");
		report("@errno %d", errno);
	} else {
		report("@rc 0");
		report("@errno 0");
	}
}

static int handle(const char *text)
{
	int n = atoi(text) - 3;

	return n >= 0 && n < MAX_FILES ? files[n] : -1;
}

/*
 * Open files live in a process of their own: when the kernel kills it, the steps go on, and programs that other
 * steps start do not inherit a file whose driver is gone.
 */
static pid_t holder;
static int holder_in, holder_out;
static void run_held(char *line);

static void hold(void)
{
	char line[1024];

	memset(files, -1, sizeof(files));
	for (;;) {
		ssize_t n = read(holder_in, line, sizeof(line) - 1);

		if (n <= 0)
			_exit(0);
		line[n] = 0;
		run_held(line);
		if (write(holder_out, "k", 1) != 1)
			_exit(0);
	}
}

static void start_holder(void)
{
	int down[2], up[2];

	if (pipe2(down, O_CLOEXEC) || pipe2(up, O_CLOEXEC))
		return;
	holder_in = down[0];
	holder_out = up[1];
	holder = fork();
	if (!holder) {
		close(down[1]);
		close(up[0]);
		holder_in = high(holder_in);
		holder_out = high(holder_out);
		hold();
	}
	close(down[0]);
	close(up[1]);
	holder_in = down[1];
	holder_out = up[0];
}

/* Hands a step to the process that holds the files. One that does not answer has died in the kernel, or hangs there. */
static void ask_holder(const char *line)
{
	struct pollfd p = { .events = POLLIN };
	int status = SIGKILL;
	char answer;

	if (!holder)
		start_holder();
	p.fd = holder_out;
	if (write(holder_in, line, strlen(line)) > 0 && poll(&p, 1, 5000) == 1 && read(holder_out, &answer, 1) == 1)
		return;
	waitpid(holder, &status, WNOHANG);
	report("@rc %d", 128 + (WIFSIGNALED(status) ? WTERMSIG(status) : SIGKILL));
	close(holder_in);
	close(holder_out);
	holder = 0;
}

static void do_open(int n, char words[][512])
{
	const char *mode = n > 2 ? words[2] : "r";
	int flags = strstr(mode, "rw") ? O_RDWR : strchr(mode, 'w') ? O_WRONLY : O_RDONLY;
	int slot = 0, fd;

	if (strchr(mode, 'n'))
		flags |= O_NONBLOCK;
	fd = open(words[1], flags | O_CLOEXEC);
	while (slot < MAX_FILES - 1 && files[slot] >= 0)
		slot++;
	if (fd >= 0) {
		if (fd != slot + 3) {
			dup3(fd, slot + 3, O_CLOEXEC);
			close(fd);
			fd = slot + 3;
		}
		files[slot] = fd;
		report("@out %d", slot + 3);
	}
	finish(fd);
}

static void do_read(int n, char words[][512])
{
	static unsigned char bytes[8000];
	ssize_t got = read(handle(words[1]), bytes, n > 2 ? number(words[2]) : 4096);

	if (got > 0)
		report_bytes(bytes, got);
	finish(got);
}

/* Bytes written in hexadecimal; how many there were. */
static size_t from_hex(const char *text, unsigned char *into, size_t room)
{
	size_t n = 0;

	for (; n < room && text[0] && text[1]; text += 2)
		into[n++] = strtol((char[]){ text[0], text[1], 0 }, NULL, 16);
	return n;
}

/* write FD TEXT, or write FD hex BYTES. */
static void do_write(int n, char words[][512])
{
	unsigned char bytes[256];
	const void *what = n > 2 ? words[2] : "";
	size_t size = strlen(what);
	ssize_t put;

	if (n > 3 && !strcmp(words[2], "hex")) {
		size = from_hex(words[3], bytes, sizeof(bytes));
		what = bytes;
	}
	put = write(handle(words[1]), what, size);

	if (put >= 0)
		report("@out %zd", put);
	finish(put);
}

static void do_seek(int n, char words[][512])
{
	off_t at = lseek(handle(words[1]), number(words[2]), n > 3 ? number(words[3]) : SEEK_SET);

	if (at >= 0)
		report("@out %ld", (long)at);
	finish(at);
}

static void do_poll(char words[][512])
{
	struct pollfd p = { .fd = handle(words[1]), .events = POLLIN | POLLOUT | POLLPRI };
	int n = poll(&p, 1, 0);

	if (n >= 0)
		report("@out %s%s%s%s", p.revents & POLLIN ? "in " : "", p.revents & POLLOUT ? "out " : "",
		       p.revents & POLLPRI ? "pri " : "", p.revents & POLLERR ? "err " : "");
	finish(n);
}

static void do_close(char words[][512])
{
	int fd = handle(words[1]);

	files[atoi(words[1]) - 3] = -1;
	finish(close(fd));
}

static void report_buffer(const char *what, const unsigned char *bytes, size_t n)
{
	char text[2200];
	int at = 0;

	for (size_t i = 0; i < n && i < 512; i++)
		at += sprintf(text + at, "%02x", bytes[i]);
	text[at] = 0;
	report("@out %s %s", what, text);
}

/* What is in a buffer before a call: OFFSET=KIND:VALUE, separated by @; of kind u16, u32, u64, fd, text or hex. */
static void fill_buffer(unsigned char *buffer, char *pieces)
{
	char *rest, *piece;

	for (piece = strtok_r(pieces, "@", &rest); piece; piece = strtok_r(NULL, "@", &rest)) {
		char *kind = strchr(piece, '='), *value = kind ? strchr(kind, ':') : NULL;
		size_t at = strtoul(piece, NULL, 0);
		uint64_t n;

		if (!value || at > 504)
			continue;
		kind++;
		value++;
		n = !strncmp(kind, "fd:", 3) ? (uint64_t)handle(value) : (uint64_t)number(value);
		if (!strncmp(kind, "text:", 5))
			memcpy(buffer + at, value, strnlen(value, 512 - at));
		else if (!strncmp(kind, "hex:", 4))
			from_hex(value, buffer + at, 512 - at);
		else
			memcpy(buffer + at, &n, !strncmp(kind, "u64:", 4) ? 8 : !strncmp(kind, "u16:", 4) ? 2 : 4);
	}
}

/*
 * ioctl FD COMMAND [NUMBER | fd:N | u32:VALUE | buf:BYTES[@OFFSET=KIND:VALUE]...]; what the driver left in u32 or buf
 * is shown.
 */
static void do_ioctl(int n, char words[][512])
{
	unsigned char buffer[512] = { 0 };
	long argument = 0, result;
	size_t size = 0;

	if (n > 3 && !strncmp(words[3], "u32:", 4)) {
		uint32_t value = number(words[3] + 4);

		memcpy(buffer, &value, size = 4);
		argument = (long)buffer;
	} else if (n > 3 && !strncmp(words[3], "buf:", 4)) {
		char *pieces = strchr(words[3], '@');

		size = number(words[3] + 4);
		argument = (long)buffer;
		if (pieces)
			fill_buffer(buffer, pieces + 1);
	} else if (n > 3 && !strncmp(words[3], "fd:", 3)) {
		argument = handle(words[3] + 3);
	} else if (n > 3) {
		argument = number(words[3]);
	}
	result = ioctl(handle(words[1]), number(words[2]), argument);
	if (result >= 0)
		report("@out = %ld", result);
	if (result >= 0 && size)
		report_buffer("buffer", buffer, size);
	finish(result);
}

/* syscall NR [NUMBER | "TEXT" | buf:BYTES]...; texts go as pointers, what is left in buffers is shown as text. */
static void do_syscall(int n, char words[][512])
{
	static unsigned char buffers[6][512];
	long a[6] = { 0 }, result;

	for (int i = 2; i < n && i < 8; i++) {
		char *end, *w = words[i];

		if (!strncmp(w, "buf:", 4))
			a[i - 2] = (long)buffers[i - 2];
		else if ((a[i - 2] = number(w), strtoul(w, &end, 0), *w && !*end))
			continue;
		else
			a[i - 2] = (long)w;
	}
	result = syscall(number(words[1]), a[0], a[1], a[2], a[3], a[4], a[5]);
	if (result != -1)
		report("@out = %ld", result);
	for (int i = 2; i < n && i < 8 && result != -1; i++)
		if (!strncmp(words[i], "buf:", 4))
			report("@out %s", buffers[i - 2]);
	finish(result == -1 ? -1 : 0);
}

/* finit_module FILE FLAGS [PARAMETERS], as the bare system call. */
static void do_finit(int n, char words[][512])
{
	int fd = open(words[1], O_RDONLY | O_CLOEXEC);
	long result = fd < 0 ? -1 : syscall(SYS_finit_module, fd, n > 3 ? words[3] : "", number(words[2]));
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	finish(result);
}

static void collect(int fd)
{
	static char text[65536];
	size_t used = 0;
	ssize_t n;

	while (used < sizeof(text) - 1 && (n = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
		used += n;
	text[used] = 0;
	report_lines("out", text);
}

static int exit_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static pid_t start(const char *line, int out)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	dup2(out, 1);
	dup2(out, 2);
	if (!strncmp(line, "as nobody ", 10)) {
		line += 10;
		if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
			_exit(126);
	}
	execl("/bin/sh", "sh", "-c", line, NULL);
	_exit(127);
}

static void run_shell(const char *line)
{
	int ends[2], status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return;
	pid = start(line, ends[1]);
	close(ends[1]);
	collect(ends[0]);
	close(ends[0]);
	waitpid(pid, &status, 0);
	report("@rc %d", exit_code(status));
}

static void run_background(char *line)
{
	char path[64];
	int fd;

	line[strlen(line) - 1] = 0;
	snprintf(path, sizeof(path), BACKGROUND "%d", job_count);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	jobs[job_count++] = start(line, fd);
	close(fd);
	usleep(300000); /* long enough for it to reach the place where it blocks */
	report("@rc 0");
}

static void run_wait(void)
{
	int worst = 0;

	for (int i = 0; i < job_count; i++) {
		char path[64];
		int status, fd;

		waitpid(jobs[i], &status, 0);
		if (exit_code(status) > worst)
			worst = exit_code(status);
		snprintf(path, sizeof(path), BACKGROUND "%d", i);
		fd = open(path, O_RDONLY);
		collect(fd);
		close(fd);
	}
	job_count = 0;
	report("@rc %d", worst);
}

static void run_held(char *line)
{
	static char words[MAX_WORDS][512];
	int n = split(line, words);
	const char *first = words[0];

	if (!strcmp(first, "open"))
		do_open(n, words);
	else if (!strcmp(first, "read"))
		do_read(n, words);
	else if (!strcmp(first, "write"))
		do_write(n, words);
	else if (!strcmp(first, "seek"))
		do_seek(n, words);
	else if (!strcmp(first, "poll"))
		do_poll(words);
	else if (!strcmp(first, "close"))
		do_close(words);
	else if (!strcmp(first, "ioctl"))
		do_ioctl(n, words);
}

static int is_held(const char *first)
{
	static const char *const held[] = { "open", "read", "write", "seek", "poll", "close", "ioctl" };

	for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++)
		if (!strcmp(first, held[i]))
			return 1;
	return 0;
}

static void run_step(char *line)
{
	static char words[MAX_WORDS][512];
	int n = split(line, words);
	const char *first = words[0];

	if (line[strlen(line) - 1] == '&')
		run_background(line);
	else if (is_held(first))
		ask_holder(line);
	else if (!strcmp(first, "syscall"))
		do_syscall(n, words);
	else if (!strcmp(first, "finit_module"))
		do_finit(n, words);
	else if (!strcmp(first, "delete_module"))
		finish(syscall(SYS_delete_module, words[1], n > 2 ? number(words[2]) : O_NONBLOCK));
	else if (!strcmp(first, "wait"))
		run_wait();
	else
		run_shell(line);
}

static void work(void)
{
	while (shared->next < step_count) {
		char line[1024];

		snprintf(line, sizeof(line), "%s", steps[shared->next]);
		report("@step %s", line);
		shared->began = time(NULL);
		run_step(line);
		report_state();
		shared->next++;
	}
	_exit(0);
}

static void load_steps(void)
{
	static char text[200000];
	char *line;

	slurp("/steps", text, sizeof(text));
	for (line = strtok(text, "\n"); line && step_count < MAX_STEPS; line = strtok(NULL, "\n"))
		if (*line && *line != '#' && *line != '@')
			steps[step_count++] = line;
}

static void set_up(void)
{
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mkdir("/tmp", 01777);
	mkdir("/mnt", 0755);
	mkdir("/run", 0755);
	mount("none", "/proc", "proc", 0, NULL);
	mount("none", "/sys", "sysfs", 0, NULL);
	mount("none", "/dev", "devtmpfs", 0, NULL);
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount("none", "/tmp", "tmpfs", 0, NULL);
	chmod("/tmp", 01777);
	setenv("PATH", "/sbin:/bin", 1);
	setenv("HOME", "/", 1);
	if (chdir("/fixtures"))
		report("@out no fixtures");
}

int main(void)
{
	set_up();
	report_fd = high(open("/dev/ttyS1", O_WRONLY | O_CLOEXEC | O_NOCTTY));
	kmsg_fd = high(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	klogctl(8, NULL, 8);
	load_steps();
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	drain_log(1);
	while (shared->next < step_count) {
		pid_t pid = fork();
		int status;

		if (!pid)
			work();
		shared->began = time(NULL);
		while (waitpid(pid, &status, WNOHANG) != pid) {
			usleep(20000);
			if (time(NULL) > shared->began + PATIENCE) {
				report("@stuck");
				drain_log(0);
				reboot(RB_POWER_OFF);
			}
		}
		if (shared->next < step_count) {
			report("@rc %d", exit_code(status));
			report_state();
			shared->next++;
		}
	}
	report("@done");
	sync();
	reboot(RB_POWER_OFF);
	return 0;
}
