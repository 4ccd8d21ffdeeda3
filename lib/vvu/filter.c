/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is not in the tables here does not pass: PAGEFAULT needs a userfaultfd over a
 * mapping that is the device's, HOST_NOTIFIER, BACKEND_SEND_FD, SHARED_OBJECT,
 * DEVICE_STATE and SHMEM need fds, MEM_SLOTS a rule for places that change while rings
 * run, and of bits that nobody knows it is not known.  Pure; any thread.
 */
#include "vvu/filter.h"

#include <linux/virtio_config.h>

#include "spec/vhost_user.h"
#include "spec/vvu.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* What a driver must have acked for @bit. */
struct pass {
	uint8_t bit;
	uint64_t driver;
};

static const struct pass protocol_passes[] = {
	{VH_PF_MQ, 0},
	{VH_PF_RARP, 0},
	{VH_PF_REPLY_ACK, 0},
	{VH_PF_NET_MTU, 0},
	{VH_PF_CROSS_ENDIAN, 0},
	{VH_PF_CONFIG, 0},
	{VH_PF_RESET_DEVICE, 0},
	{VH_PF_STATUS, 0},
	{VH_PF_GPA_ADDRESSES, 0},
	{VH_PF_BACKEND_REQ, VH_BIT(VH_VVU_F_BACKEND_REQ)},
	{VH_PF_INBAND_NOTIFICATIONS, VH_BIT(VH_VVU_F_BACKEND_REQ)},
	{VH_PF_LOG_SHMFD, VH_BIT(VH_VVU_F_LOG)},
	{VH_PF_INFLIGHT_SHMFD, VH_BIT(VH_VVU_F_INFLIGHT)},
	{VH_PF_GET_VRING_BASE_INFLIGHT, VH_BIT(VH_VVU_F_INFLIGHT)},
	{VH_PF_GET_VRING_BASE_SKIP_DRAIN, VH_BIT(VH_VVU_F_INFLIGHT)},
	{VH_PF_CRYPTO_SESSION, VH_BIT(VH_VVU_F_LONG_MSG)},
};

/*
 * @bit makes no sense without all of @others, which the driver may not have offered, or
 * which did not pass.
 */
static const struct need {
	uint8_t bit;
	uint64_t others;
} protocol_needs[] = {
	{VH_PF_INBAND_NOTIFICATIONS, VH_BIT(VH_PF_BACKEND_REQ)},
	{VH_PF_GET_VRING_BASE_INFLIGHT, VH_BIT(VH_PF_INFLIGHT_SHMFD)},
	{VH_PF_GET_VRING_BASE_SKIP_DRAIN, VH_BIT(VH_PF_INFLIGHT_SHMFD)},
};

/* LONG_MSG is a promise of large buffers; who has such without the promise is as good. */
#define LONG_MSG 4096u

void vh_filter_init(struct vh_filter *f, uint64_t driver, size_t max_msg)
{
	*f = (struct vh_filter){.features = UINT64_MAX};
	if (max_msg >= LONG_MSG)
		driver |= VH_BIT(VH_VVU_F_LONG_MSG);
	else
		driver &= ~VH_BIT(VH_VVU_F_LONG_MSG);
	for (size_t i = 0; i < ARRAY_LEN(protocol_passes); i++)
		if (!(protocol_passes[i].driver & ~driver))
			f->protocol |= VH_BIT(protocol_passes[i].bit);
	if (!(f->protocol & VH_BIT(VH_PF_LOG_SHMFD)))
		f->features &= ~VH_BIT(VH_F_LOG_ALL);
	/* Misses of an IOTLB are requests of the back-end's, and they are acked: a
	 * front-end does not start with this bit and without those two. */
	if (!(f->protocol & VH_BIT(VH_PF_BACKEND_REQ)))
		f->features &= ~VH_BIT(VIRTIO_F_ACCESS_PLATFORM);
}

uint64_t vh_filter_features(const struct vh_filter *f, uint64_t offered)
{
	return offered & f->features;
}

uint64_t vh_filter_protocol(const struct vh_filter *f, uint64_t offered)
{
	uint64_t passed = offered & f->protocol;

	for (size_t i = 0; i < ARRAY_LEN(protocol_needs); i++)
		if (protocol_needs[i].others & ~passed)
			passed &= ~VH_BIT(protocol_needs[i].bit);
	return passed;
}

uint64_t vh_filter_queues(uint64_t offered, unsigned max_vrings, unsigned group)
{
	const uint64_t most = max_vrings / (group ? group : 1);

	return offered < most ? offered : most;
}
