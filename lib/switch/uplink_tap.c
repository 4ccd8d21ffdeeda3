/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A TAP interface, attached to when it exists and made when it does not.  Frames carry
 * a virtio-net header both ways, so offloads pass through to the host's stack.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "spec/vhost_user.h"
#include "spec/virtio_net.h"
#include "switch/uplink.h"

/* Debian 12's <linux/if_tun.h> lacks them. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define HDR_LEN ((int)sizeof(struct virtio_net_hdr_v1))

#define OFFLOADS (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
#define TAKES                                                                \
	(VH_BIT(VIRTIO_F_VERSION_1) | VH_BIT(VIRTIO_NET_F_GUEST_CSUM) |      \
	 VH_BIT(VIRTIO_NET_F_GUEST_TSO4) | VH_BIT(VIRTIO_NET_F_GUEST_TSO6) | \
	 VH_BIT(VIRTIO_NET_F_GUEST_ECN))
#define TAKES_USO (VH_BIT(VIRTIO_NET_F_GUEST_USO4) | VH_BIT(VIRTIO_NET_F_GUEST_USO6))

static void tap_explain(const struct vh_uplink *u, const char *what, int err)
{
	const char *cure = "";

	if (err == -EPERM || err == -EACCES)
		cure = "; it needs CAP_NET_ADMIN, or an interface made for this user "
		       "(ip tuntap add mode tap user ...)";
	else if (err == -EBUSY)
		cure = "; another program has it";
	else if (err == -EINVAL)
		cure = "; an interface of that name exists and is no TAP interface of "
		       "one "
		       "queue";
	else if (err == -ENOENT)
		cure = "; is the module tun loaded?";
	vh_log(u, VH_LOG_ERROR, "tap:%s: %s: %s%s", u->ifname, what, vh_strerror(err),
	       cure);
}

static int tap_attach(const struct vh_uplink *u, int fd)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

	memcpy(ifr.ifr_name, u->ifname, sizeof(ifr.ifr_name));
	return ioctl(fd, TUNSETIFF, &ifr) < 0 ? -errno : 0;
}

static int tap_set_offloads(struct vh_uplink *u, int fd, bool first)
{
	int hdr_len = HDR_LEN;
	bool uso;

	if (ioctl(fd, TUNSETVNETHDRSZ, &hdr_len) < 0)
		return -errno;
	uso = ioctl(fd, TUNSETOFFLOAD, OFFLOADS | TUN_F_USO4 | TUN_F_USO6) == 0;
	if (!uso && ioctl(fd, TUNSETOFFLOAD, OFFLOADS) < 0)
		return -errno;
	if (first) /* the kernel's abilities do not change */
		u->features = uso ? TAKES | TAKES_USO : TAKES;
	return 0;
}

/* Its flags, if it is in our network namespace; @with are added.  -1: it is not. */
static int tap_flags(const char name[IFNAMSIZ], int with)
{
	VH_AUTO_FD int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {0};

	memcpy(ifr.ifr_name, name, IFNAMSIZ);
	if (sock < 0 || ioctl(sock, SIOCGIFFLAGS, &ifr) < 0)
		return -1;
	if ((ifr.ifr_flags & with) == with)
		return ifr.ifr_flags;
	ifr.ifr_flags = (short)(ifr.ifr_flags | with);
	return ioctl(sock, SIOCSIFFLAGS, &ifr) < 0 ? -1 : ifr.ifr_flags;
}

static int tap_open(struct vh_uplink *u, bool first)
{
	VH_AUTO_FD int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	const bool was_there = if_nametoindex(u->ifname) != 0;
	const char *what = "/dev/net/tun";
	int err = fd < 0 ? -errno : 0;

	if (!err) {
		what = "cannot attach";
		err = tap_attach(u, fd);
	}
	if (!err) {
		what = "cannot set its offloads";
		err = tap_set_offloads(u, fd, first);
	}
	if (err < 0) {
		if (first)
			tap_explain(u, what, err);
		return err;
	}
	/* One that we made is of no use before it is up; one that was there is its
	 * owner's. */
	if (!was_there && tap_flags(u->ifname, IFF_UP) < 0)
		vh_log(u, VH_LOG_WARN, "tap:%s: made, but it cannot be set up",
		       u->ifname);
	return vh_fd_take(&fd);
}

/* It may have been renamed or moved to another network namespace: the fd knows. */
static int tap_check(const struct vh_uplink *u)
{
	struct ifreq ifr;
	int flags;

	if (ioctl(u->fd, TUNGETIFF, &ifr) < 0)
		return -ENODEV;
	flags = tap_flags(ifr.ifr_name, 0);
	return flags < 0 || flags & IFF_UP ? 0 : -ENETDOWN;
}

static int tap_receive(const struct vh_uplink *u, uint8_t *buf, size_t room,
		       uint8_t **frame, struct virtio_net_hdr_v1 *hdr)
{
	ssize_t n = read(u->fd, buf, room);

	if (n < 0)
		return -errno;
	if (n < HDR_LEN)
		return -EBADMSG;
	memcpy(hdr, buf, sizeof(*hdr));
	*frame = buf + HDR_LEN;
	return (int)n - HDR_LEN;
}

const struct vh_uplink_ops vh_uplink_tap = {
	.scheme = "tap",
	.hdr_len = sizeof(struct virtio_net_hdr_v1),
	.open = tap_open,
	.check = tap_check,
	.receive = tap_receive,
};
