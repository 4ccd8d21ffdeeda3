/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * 802.1Q VLANs: which VLAN a frame belongs to when it comes in, and how its
 * Ethernet header looks when it goes out.  Pure.
 *
 *   access port       takes untagged frames, and frames tagged with its own VLAN or
 *                     with 0 (priority only); sends untagged ones
 *   trunk             takes and sends its allowed VLANs tagged, its native one, if
 *                     it has one, untagged (and takes that tagged, too)
 *   VLAN-unaware port looks at no tag: frames pass as they are.  Such ports make
 *                     up domain 0, which no other port belongs to; so frames never
 *                     pass between them and access ports or trunks
 *
 * A service tag (802.1ad, type 0x88a8) is payload to all of this: an outer one is
 * an untagged frame, and stays in front.
 */
#ifndef VH_SWITCH_VLAN_H
#define VH_SWITCH_VLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "switch/switch.h"

#define VH_ETH_LEN    14 /* two addresses and a type      */
#define VH_TAG_LEN    4
#define VH_ETH_MAX    (VH_ETH_LEN + VH_TAG_LEN)
#define VH_TYPE_8021Q 0x8100

/*
 * The Ethernet header of a frame: our copy, which alone decides, and which goes out in
 * place of what the sender may have made of its own meanwhile.
 */
struct vh_eth {
	uint8_t raw[VH_ETH_MAX]; /* of which a frame without a tag uses 14              */
	uint8_t len;		 /* that this header has in the source: 14 or 18        */
	uint8_t priority; /* PCP and DEI, as in the upper byte of the tag         */
	bool nested;	  /* behind its tag stands another one                   */
	uint16_t vlan;	  /* the VLAN it belongs to                              */
};

/*
 * raw is filled (14 bytes, or 18 when the frame has so many: @frame_len).  Sets the
 * rest; false: the port does not take it.
 */
bool vh_vlan_classify(const struct vh_port_vlans *p, struct vh_eth *e,
		      uint32_t frame_len);

enum vh_vlan_form {
	VH_VLAN_NOT_HERE, /* the port does not belong to that VLAN     */
	VH_VLAN_AS_IS,	  /* domain 0                                  */
	VH_VLAN_UNTAGGED,
	VH_VLAN_TAGGED,
};

static inline bool vh_vlan_allows(const struct vh_port_vlans *p, uint16_t vlan)
{
	return p->allowed[vlan / 64] >> (vlan % 64) & 1;
}

/*
 * How a frame leaves through a port.  A tag that hides another one is never taken
 * off: the frame would change its VLAN behind that port, which is an old way to
 * break into another one.
 */
static inline enum vh_vlan_form vh_vlan_form(const struct vh_port_vlans *p,
					     const struct vh_eth *e)
{
	if (!e->vlan)
		return p->trunk || p->native ? VH_VLAN_NOT_HERE : VH_VLAN_AS_IS;
	if (e->vlan == p->native)
		return e->nested ? VH_VLAN_NOT_HERE : VH_VLAN_UNTAGGED;
	return p->trunk && vh_vlan_allows(p, e->vlan) ? VH_VLAN_TAGGED : VH_VLAN_NOT_HERE;
}

/* Write the header in that form: 14 or 18 bytes, which it returns. */
unsigned vh_vlan_header(const struct vh_eth *e, enum vh_vlan_form form,
			uint8_t out[VH_ETH_MAX]);

#endif
