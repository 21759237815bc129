/*
 * The first process of a machine that loads modules and says what came of it. /cases has a line for each load:
 *
 *   NAME SYSCALL FLAGS FILE [ARGUMENTS]      SYSCALL: finit, init, keep (finit, stays), drop (FILE is a module's name),
 *                                            set (writes ARGUMENTS into FILE)
 *
 * and the serial port (the second, where there are two) gets, for each: @case NAME, @log LEVEL TEXT of the kernel, @errno N, @taint N; at the end @done.
 * Every load is made by a child of its own, because an oops kills who meets it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __aarch64__
#define REPORT "/dev/ttyAMA0"
#else
#define REPORT "/dev/ttyS1"
#endif

static FILE *out;
static int kmsg;

static void drain(int quiet)
{
	static char record[9000];

	for (;;) {
		ssize_t n = read(kmsg, record, sizeof(record) - 1);
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
		fprintf(out, "@log %d %s\n", atoi(record) & 7, text);
	}
}

static int load(const char *how, int flags, const char *file, const char *args)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), failed = 0;
	struct stat s;

	if (!strcmp(how, "drop"))
		return syscall(SYS_delete_module, file, O_NONBLOCK) ? errno : 0;
	if (!strcmp(how, "set")) {
		fd = open(file, O_WRONLY);
		return fd < 0 || write(fd, args, strlen(args)) < 0 ? errno : 0;
	}
	if (fd < 0 || fstat(fd, &s))
		return 1000 + errno;
	if (!strcmp(how, "init")) {
		char *bytes = malloc(s.st_size + 1);

		if (read(fd, bytes, s.st_size) != s.st_size)
			return 1000;
		failed = syscall(SYS_init_module, bytes, s.st_size, args) ? errno : 0;
		free(bytes);
	} else
		failed = syscall(SYS_finit_module, fd, args, flags) ? errno : 0;
	close(fd);
	return failed;
}

/* The newest module is the first line of /proc/modules. */
static void unload(void)
{
	char name[128];
	FILE *f = fopen("/proc/modules", "r");

	if (f && fscanf(f, "%127s", name) == 1)
		syscall(SYS_delete_module, name, O_NONBLOCK | O_TRUNC);
	if (f)
		fclose(f);
}

static int in_child(const char *how, int flags, const char *file, const char *args)
{
	static int *result;
	int status;
	pid_t child;

	if (!result)
		result = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*result = -1;
	child = fork();
	if (!child) {
		alarm(20);
		prctl(PR_SET_NAME, "insmod");
		*result = load(how, flags, file, args);
		_exit(0);
	}
	waitpid(child, &status, 0);
	return *result >= 0 ? *result : WIFSIGNALED(status) ? 2000 + WTERMSIG(status) : 3000;
}

static long taint(void)
{
	long value = -1;
	FILE *f = fopen("/proc/sys/kernel/tainted", "r");

	if (f && fscanf(f, "%ld", &value) != 1)
		value = -1;
	if (f)
		fclose(f);
	return value;
}

int main(void)
{
	char line[4096];
	FILE *cases, *mark;

	mount("proc", "/proc", "proc", 0, 0);
	mount("sys", "/sys", "sysfs", 0, 0);
	mount("dev", "/dev", "devtmpfs", 0, 0);
	out = fopen(REPORT, "w");
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	if (!out)
		out = stdout;
	cases = fopen("/cases", "r");
	{
		FILE *f = fopen("/proc/sys/kernel/printk_devkmsg", "w");
		FILE *r = fopen("/proc/sys/kernel/printk_ratelimit", "w");

		if (f) { fputs("on", f); fclose(f); }
		if (r) { fputs("0", r); fclose(r); }
	}
	mark = fopen("/dev/kmsg", "w");
	drain(1);
	while (cases && fgets(line, sizeof(line), cases)) {
		char name[256], how[16], file[512], *args;
		int flags, at = 0, failed;

		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%255s %15s %d %511s%n", name, how, &flags, file, &at) < 4)
			continue;
		args = line[at] == ' ' ? line + at + 1 : line + at;
		fprintf(out, "@case %s\n", name);
		fflush(out);
		failed = in_child(how, flags, file, args);
		/* A message without a line end is not given out before another one comes. */
		if (mark) {
			fputs("<7>verdict-mark\n", mark);
			fflush(mark);
		}
		drain(0);
		fprintf(out, "@errno %d\n@taint %ld\n", failed, taint());
		fflush(out);
		/* Locks may be held for ever: the next load needs another boot. */
		if (failed >= 2000)
			break;
		if (!failed && (!strcmp(how, "finit") || !strcmp(how, "init")))
			unload();
		drain(1);
	}
	fprintf(out, "@done\n");
	fflush(out);
	sync();
	reboot(RB_POWER_OFF);
	return 0;
}
