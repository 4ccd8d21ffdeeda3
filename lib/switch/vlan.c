/* SPDX-License-Identifier: BSD-3-Clause */
/* 802.1Q VLANs: see vlan.h. */
#include "switch/vlan.h"

#include <string.h>

#define ADDRESSES 12 /* bytes in front of the type */
#define VID_MASK  0x0fff

static uint16_t read_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

bool vh_vlan_classify(const struct vh_port_vlans *p, struct vh_eth *e, uint32_t frame_len)
{
	uint16_t vid = 0;

	e->len = VH_ETH_LEN;
	e->priority = 0;
	e->nested = false;
	e->vlan = p->native;
	if (!p->trunk && !p->native)
		return true;
	if (read_be16(e->raw + ADDRESSES) == VH_TYPE_8021Q) {
		if (frame_len < VH_ETH_MAX)
			return false;
		e->len = VH_ETH_MAX;
		e->priority = e->raw[ADDRESSES + 2] & 0xf0;
		e->nested = read_be16(e->raw + VH_ETH_LEN + 2) == VH_TYPE_8021Q;
		vid = read_be16(e->raw + ADDRESSES + 2) & VID_MASK;
	}
	if (!vid || vid == p->native)
		return p->native != 0;
	e->vlan = vid;
	return p->trunk && vh_vlan_allows(p, vid);
}

unsigned vh_vlan_header(const struct vh_eth *e, enum vh_vlan_form form,
			uint8_t out[VH_ETH_MAX])
{
	const uint8_t *type = e->raw + e->len - 2;

	if (form == VH_VLAN_AS_IS) {
		memcpy(out, e->raw, VH_ETH_LEN);
		return VH_ETH_LEN;
	}
	memcpy(out, e->raw, ADDRESSES);
	if (form == VH_VLAN_UNTAGGED) {
		memcpy(out + ADDRESSES, type, 2);
		return VH_ETH_LEN;
	}
	out[ADDRESSES] = VH_TYPE_8021Q >> 8;
	out[ADDRESSES + 1] = VH_TYPE_8021Q & 0xff;
	out[ADDRESSES + 2] = (uint8_t)(e->priority | e->vlan >> 8);
	out[ADDRESSES + 3] = (uint8_t)e->vlan;
	memcpy(out + ADDRESSES + VH_TAG_LEN, type, 2);
	return VH_ETH_MAX;
}
