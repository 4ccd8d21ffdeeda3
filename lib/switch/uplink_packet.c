/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An interface that is there already (Ethernet, veth, macvlan, ...), through a packet
 * socket: we see all it receives and none of what it sends, and what we send leaves
 * through it.  Frames carry a virtio-net header both ways.
 *
 * The host's own stack on that interface sees the same frames that we do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "spec/vhost_user.h"
#include "switch/uplink.h"

#define HDR_LEN	    ((int)sizeof(struct virtio_net_hdr))
#define TAG_LEN	    4
#define ADDRESSES   12
#define RECEIVE_BUF (4 * 1024 * 1024)

/* The kernel's stack segments and sums what the interface cannot; not so UDP, everywhere.
 */
#define TAKES                                                                \
	(VH_BIT(VIRTIO_NET_F_GUEST_CSUM) | VH_BIT(VIRTIO_NET_F_GUEST_TSO4) | \
	 VH_BIT(VIRTIO_NET_F_GUEST_TSO6) | VH_BIT(VIRTIO_NET_F_GUEST_ECN))

static void packet_explain(const struct vh_uplink *u, const char *what, int err)
{
	const char *cure = "";

	if (err == -EPERM || err == -EACCES)
		cure = "; it needs CAP_NET_RAW";
	else if (err == -ENODEV)
		cure = "; the interface must exist already (tap: makes one)";
	vh_log(u, VH_LOG_ERROR, "packet:%s: %s: %s%s", u->ifname, what, vh_strerror(err),
	       cure);
}

static int set_option(int fd, int option, const void *value, socklen_t len)
{
	return setsockopt(fd, SOL_PACKET, option, value, len) < 0 ? -errno : 0;
}

static int packet_set_options(int fd, int ifindex)
{
	const struct packet_mreq promiscuous = {.mr_ifindex = ifindex,
						.mr_type = PACKET_MR_PROMISC};
	const int on = 1, size = RECEIVE_BUF;
	int err = set_option(fd, PACKET_VNET_HDR, &on, sizeof(on));

	if (!err)
		err = set_option(fd, PACKET_AUXDATA, &on, sizeof(on));
	if (!err)
		err = set_option(fd, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
	if (!err)
		err = set_option(fd, PACKET_ADD_MEMBERSHIP, &promiscuous,
				 sizeof(promiscuous));
	/* Not without CAP_NET_ADMIN; then bursts are shorter. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return err;
}

static int packet_bind(int fd, int ifindex)
{
	const struct sockaddr_ll at = {.sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_ALL),
				       .sll_ifindex = ifindex};

	return bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ? -errno : 0;
}

static int packet_open(struct vh_uplink *u, bool first)
{
	/* Protocol 0 receives nothing: no frame of another interface gets in before bind.
	 */
	VH_AUTO_FD int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int ifindex = (int)if_nametoindex(u->ifname);
	const char *what = "cannot make a packet socket";
	int err = fd < 0 ? -errno : 0;

	if (first)
		u->features = TAKES;
	if (!err && !ifindex) {
		what = "no such interface";
		err = -ENODEV;
	}
	if (!err) {
		what = "cannot set the socket's options";
		err = packet_set_options(fd, ifindex);
	}
	if (!err) {
		what = "cannot bind";
		err = packet_bind(fd, ifindex);
	}
	if (!err)
		return vh_fd_take(&fd);
	if (first)
		packet_explain(u, what, err);
	return err;
}

/* By index: it may have been renamed. */
static int packet_check(const struct vh_uplink *u)
{
	struct sockaddr_ll at = {0};
	socklen_t len = sizeof(at);
	struct ifreq ifr = {0};

	if (getsockname(u->fd, (struct sockaddr *)&at, &len) < 0 || at.sll_ifindex <= 0)
		return -ENODEV;
	ifr.ifr_ifindex = at.sll_ifindex;
	if (ioctl(u->fd, SIOCGIFNAME, &ifr) < 0 || ioctl(u->fd, SIOCGIFFLAGS, &ifr) < 0)
		return -ENODEV;
	return ifr.ifr_flags & IFF_UP ? 0 : -ENETDOWN;
}

static const struct tpacket_auxdata *find_auxdata(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA &&
		    c->cmsg_len >= CMSG_LEN(sizeof(struct tpacket_auxdata)))
			return (const struct tpacket_auxdata *)CMSG_DATA(c);
	return NULL;
}

/* The kernel takes the outer tag off; put it back in front of the type. */
static void insert_tag(const struct tpacket_auxdata *aux, uint8_t **frame,
		       struct virtio_net_hdr_v1 *hdr)
{
	const uint16_t tpid = aux->tp_status & TP_STATUS_VLAN_TPID_VALID
				      ? aux->tp_vlan_tpid
				      : ETH_P_8021Q;
	const uint16_t tag[2] = {htons(tpid), htons(aux->tp_vlan_tci)};

	*frame -= TAG_LEN;
	memmove(*frame, *frame + TAG_LEN, ADDRESSES);
	memcpy(*frame + ADDRESSES, tag, sizeof(tag));
	if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		hdr->csum_start += TAG_LEN;
	if (hdr->hdr_len)
		hdr->hdr_len += TAG_LEN;
}

static int packet_receive(const struct vh_uplink *u, uint8_t *buf, size_t room,
			  uint8_t **frame, struct virtio_net_hdr_v1 *hdr)
{
	uint8_t control[CMSG_SPACE(sizeof(struct tpacket_auxdata))]
		__attribute__((aligned(8)));
	struct iovec iov[2] = {{hdr, HDR_LEN}, {buf + TAG_LEN, room - TAG_LEN}};
	struct msghdr m = {.msg_iov = iov,
			   .msg_iovlen = 2,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	const ssize_t n = recvmsg(u->fd, &m, 0);
	const struct tpacket_auxdata *aux;

	if (n < 0)
		return -errno;
	if (n < HDR_LEN)
		return -EBADMSG;
	hdr->num_buffers = 0;
	*frame = buf + TAG_LEN;
	aux = find_auxdata(&m);
	if (!aux || !(aux->tp_status & TP_STATUS_VLAN_VALID) || n - HDR_LEN < ADDRESSES)
		return (int)n - HDR_LEN;
	insert_tag(aux, frame, hdr);
	return (int)n - HDR_LEN + TAG_LEN;
}

const struct vh_uplink_ops vh_uplink_packet = {
	.scheme = "packet",
	.hdr_len = sizeof(struct virtio_net_hdr),
	.open = packet_open,
	.check = packet_check,
	.receive = packet_receive,
};
