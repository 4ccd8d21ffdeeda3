/* SPDX-License-Identifier: BSD-3-Clause */
/* What a virtio-vhost-user device promises to drivers and front-ends, at its registers.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device_rig.h"

#define N      VH_VVU_MAX_VRINGS
#define NOTIFY VH_BIT(VH_VVU_F_NOTIFY)
#define NONE   0xffffu

static const struct dev_options plain = {0};

/* ---- Where things are ---- */

static void check_places(struct dev *d, unsigned stride, unsigned window_bar,
			 uint64_t window_at)
{
	const struct vh_virtio_place *bell = guest_place(d, VH_VVU_CAP_DOORBELL, -1);
	const struct vh_virtio_place *note = guest_place(d, VH_VVU_CAP_NOTIFICATION, -1);
	const struct vh_virtio_place *last = &d->drv.place[d->drv.n_places - 1];

	assert_int_equal(bell->bar, 2);
	assert_int_equal(bell->offset, 0);
	assert_int_equal(bell->more, stride);
	assert_true(bell->length >= (2 * N + 1) * stride);
	assert_true(note->length >= 4);
	assert_int_equal(last->type, VH_VVU_CAP_MEMORY);
	assert_int_equal(last->id, VH_VVU_SHM_MEMORY);
	assert_int_equal(last->bar, window_bar);
	assert_int_equal(last->offset, window_at);
	assert_int_equal(last->length, 64 << 20);
}

static void capabilities_tell_where_everything_is(void **state)
{
	struct dev *d = *state;
	uint16_t id[2], subsystem[2];

	dev_open(d, &plain);
	check_places(d, 4, 4, 0);
	guest_place(d, VH_VVU_CAP_MEMORY, VH_VVU_SHM_LOG);
	guest_place(d, VH_VVU_CAP_MEMORY, VH_VVU_SHM_INFLIGHT);
	d->host->bus->config_read(d->host, 0, id, sizeof(id));
	d->host->bus->config_read(d->host, 0x2c, subsystem, sizeof(subsystem));
	assert_int_equal(id[0], 0x1af4);
	assert_int_equal(id[1], 0x106b);
	assert_int_equal(subsystem[1], 43);
}

static void the_layout_of_the_first_drivers_is_in_bar_2(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {.profile = VH_VVU_BAR2};
	uint16_t id;

	dev_open(d, &o);
	check_places(d, 2, 2, 0x1000);
	d->host->bus->config_read(d->host, 2, &id, sizeof(id));
	assert_int_equal(id, 0x1058);
}

static void the_layout_of_crosvm_has_its_identity(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {.profile = VH_VVU_CROSVM};
	uint16_t id;

	dev_open(d, &o);
	check_places(d, 4, 4, 0);
	d->host->bus->config_read(d->host, 2, &id, sizeof(id));
	assert_int_equal(id, 0x107d);
}

static void configuration_tells_vrings_and_uuid(void **state)
{
	struct dev *d = *state;
	uint64_t value;

	dev_open(d, &plain);
	vh_virtio_drv_read_config(&d->drv, 4, 4, &value);
	assert_int_equal(value, N);
	vh_virtio_drv_read_config(&d->drv, 23, 1, &value);
	assert_int_equal(value, 0x5a);
}

static void without_an_area_there_is_no_feature_for_it(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {.no_area = true};

	dev_open(d, &o);
	assert_null(vh_virtio_drv_place(&d->drv, VH_VVU_CAP_MEMORY, VH_VVU_SHM_LOG));
	assert_int_equal(vh_virtio_drv_begin(&d->drv, ~0ull, VH_BIT(VIRTIO_F_VERSION_1)),
			 0);
	assert_int_equal(d->drv.features & 0xffffff, VH_BIT(VH_VVU_F_BACKEND_REQ) |
							     NOTIFY |
							     VH_BIT(VH_VVU_F_LONG_MSG));
}

/* ---- Sessions ---- */

static void a_driver_that_is_first_hears_of_the_front_end(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	guest_start(d, 0);
	guest_is_ready(d);
	assert_int_equal(guest_status(d), 1);
	assert_false(guest_heard(d, 0));
	front_connect(d);
	guest_hear(d, 0);
	assert_int_equal(guest_status(d), 3);
	assert_int_equal(guest_isr(d) & 2, 2);
	assert_int_equal(guest_isr(d), 0);
}

static void a_front_end_that_is_first_waits_for_the_driver(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	guest_start(d, 0);
	front_connect(d);
	front_say(d, VH_MSG_GET_FEATURES, NULL, 0, NULL, 0);
	assert_int_equal(guest_status(d), 0);
	assert_false(guest_heard(d, 0));
	guest_is_ready(d);
	guest_hear(d, 0);
	assert_int_equal(guest_status(d), 3);
	guest_expect(d, VH_MSG_GET_FEATURES);
}

static void a_driver_may_be_ready_before_driver_ok(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	guest_begin(d, 0);
	guest_set_queues(d);
	guest_is_ready(d);
	front_connect(d);
	guest_add_rx(d, 0, DEV_BUFFER);
	assert_int_equal(guest_status(d), 1);
	assert_int_equal(vh_virtio_drv_ready(&d->drv), 0);
	guest_hear(d, 0);
	assert_int_equal(guest_status(d), 3);
}

static void buffers_from_before_driver_ok_are_used(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	dev_session(d, 0); /* its buffers were added, and told of, before DRIVER_OK */
	front_say(d, VH_MSG_GET_FEATURES, NULL, 0, NULL, 0);
	guest_expect(d, VH_MSG_GET_FEATURES);
}

static void features_pass_but_for_what_cannot(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	dev_session(d, 0);
	front_say(d, VH_MSG_GET_FEATURES, NULL, 0, NULL, 0);
	guest_expect(d, VH_MSG_GET_FEATURES);
	guest_reply(d, VH_MSG_GET_FEATURES, ~0ull);
	assert_int_equal(front_hear(d, VH_MSG_GET_FEATURES),
			 ~(VH_BIT(VH_F_LOG_ALL) | VH_BIT(VIRTIO_F_ACCESS_PLATFORM)));
}

static void a_front_end_that_closes_ends_its_session(void **state)
{
	struct dev *d = *state;
	int call;

	dev_open(d, &plain);
	dev_session(d, 0);
	call = front_wire(d, VH_MSG_SET_VRING_CALL, 0);
	front_close(d);
	guest_hear(d, 0);
	assert_int_equal(guest_status(d), 0);
	assert_int_equal(guest_isr(d) & 2, 2);
	guest_ring(d, VH_VVU_DOORBELL_CALL(0), 2);
	assert_false(signal_came(call));
	close(call);
}

static void the_next_session_begins_with_its_first_message(void **state)
{
	struct dev *d = *state;
	const uint8_t half[6] = {1};

	dev_open(d, &plain);
	dev_session(d, 0);
	peer_send_bytes(d->fd, half, sizeof(half), NULL, 0);
	front_close(d);
	guest_hear(d, 0);
	front_connect(d);
	guest_is_ready(d);
	guest_hear(d, 0);
	front_say(d, VH_MSG_SET_OWNER, NULL, 0, NULL, 0);
	guest_expect(d, VH_MSG_SET_OWNER);
}

static void a_driver_that_is_no_longer_ready_ends_the_session(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	dev_session(d, 0);
	guest_set_status(d, guest_status(d) & ~VH_VVU_BACKEND_UP);
	assert_int_equal(guest_status(d), 0);
	assert_true(front_is_closed(d));
	assert_false(guest_heard(d, 0));
}

static void what_the_driver_writes_to_frontend_up_is_ignored(void **state)
{
	struct dev *d = *state;

	dev_open(d, &plain);
	guest_start(d, 0);
	guest_set_status(d, VH_VVU_FRONTEND_UP);
	assert_int_equal(guest_status(d), 0);
	assert_false(guest_needs_reset(d));
}

static void accepted_when_ready_nobody_is_accepted_before(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {.accept_ready = true};

	dev_open(d, &o);
	guest_start(d, 0);
	assert_int_equal(guest_status(d), 0);
	assert_int_equal(access(d->front, F_OK), -1);
	guest_is_ready(d);
	front_connect(d);
	guest_hear(d, 0);
	assert_int_equal(guest_status(d), 3);
}

static void crosvm_is_told_by_an_empty_buffer(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {.profile = VH_VVU_CROSVM};
	uint8_t msg[DEV_BUFFER];

	dev_open(d, &o);
	dev_session(d, 0);
	front_close(d);
	guest_hear(d, 0);
	assert_int_equal(guest_recv(d, msg), 0);
	assert_int_equal(guest_recv(d, msg), -1);
}

static void an_empty_buffer_waits_for_a_buffer(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {.profile = VH_VVU_CROSVM, .no_buffers = true};
	uint8_t msg[DEV_BUFFER];

	dev_open(d, &o);
	dev_session(d, 0);
	front_close(d);
	guest_hear(d, 0);
	guest_add_rx(d, 0, DEV_BUFFER);
	assert_int_equal(guest_recv(d, msg), 0);
}

/* ---- Kicks ---- */

static void a_kick_fires_the_vector_of_its_vring(void **state)
{
	struct dev *d = *state;
	int kick, other;

	dev_open(d, &plain);
	guest_begin(d, NOTIFY);
	guest_set_queues(d);
	assert_int_equal(guest_set_vector(d, 0, 3), 3);
	assert_int_equal(guest_set_vector(d, 255, 4), 4);
	guest_add_rx(d, 0, DEV_BUFFER);
	guest_add_rx(d, 1, DEV_BUFFER);
	vh_virtio_drv_ready(&d->drv);
	guest_is_ready(d);
	front_connect(d);
	guest_hear(d, 0);
	kick = front_wire(d, VH_MSG_SET_VRING_KICK, 0);
	other = front_wire(d, VH_MSG_SET_VRING_KICK, 255);
	eventfd_write(kick, 1);
	guest_hear(d, 3);
	assert_false(guest_heard(d, 4));
	eventfd_write(other, 1);
	guest_hear(d, 4);
	close(kick);
	close(other);
}

static void session_with_kick(struct dev *d, int *kick)
{
	dev_open(d, &plain);
	dev_session(d, NOTIFY);
	guest_set_vector(d, 0, 3);
	*kick = front_wire(d, VH_MSG_SET_VRING_KICK, 0);
}

static void a_kick_that_is_replaced_fires_no_more(void **state)
{
	struct dev *d = *state;
	int old, new;

	session_with_kick(d, &old);
	new = front_wire(d, VH_MSG_SET_VRING_KICK, 0);
	eventfd_write(old, 1);
	eventfd_write(new, 1);
	guest_hear(d, 3);
	assert_true(signal_came(old)); /* nobody took it */
	front_unwire(d, VH_MSG_SET_VRING_KICK, 0);
	eventfd_write(new, 1);
	assert_false(guest_heard(d, 3));
	assert_true(signal_came(new));
	close(old);
	close(new);
}

static void a_vector_outlives_its_session_but_no_reset(void **state)
{
	struct dev *d = *state;
	const struct vh_virtio_place *p;
	int kick;

	session_with_kick(d, &kick);
	close(kick);
	front_close(d);
	guest_hear(d, 0);
	p = guest_place(d, VH_VVU_CAP_NOTIFICATION, -1);
	assert_int_equal(guest_read(d, p->bar, p->offset + 2, 2), 3);
	guest_reset(d);
	assert_int_equal(guest_read(d, p->bar, p->offset + 2, 2), NONE);
}

static void vectors_and_vrings_that_do_not_exist_are_none(void **state)
{
	struct dev *d = *state;
	const struct vh_virtio_place *p;

	dev_open(d, &plain);
	p = guest_place(d, VH_VVU_CAP_NOTIFICATION, -1);
	assert_int_equal(guest_read(d, p->bar, p->offset + 2, 2), NONE);
	assert_int_equal(guest_set_vector(d, 0, 258), 258);
	assert_int_equal(guest_set_vector(d, 0, 259), NONE);
	assert_int_equal(guest_set_vector(d, 256, 3), NONE);
	assert_int_equal(guest_read(d, p->bar, p->offset, 2), 256);
	assert_int_equal(guest_set_vector(d, 1, 5), 5);
	guest_write(d, p->bar, p->offset + 2, 1, 1); /* half a register */
	assert_int_equal(guest_read(d, p->bar, p->offset, 4), 5 << 16 | 1);
	guest_write(d, p->bar, p->offset, 4, 7 << 16 | 2);
	assert_int_equal(guest_read(d, p->bar, p->offset, 4), 7 << 16 | 2);
}

/* ---- Doorbells ---- */

static void a_doorbell_of_any_width_rings(void **state)
{
	struct dev *d = *state;
	int call, err;

	dev_open(d, &plain);
	dev_session(d, 0);
	call = front_wire(d, VH_MSG_SET_VRING_CALL, 5);
	err = front_wire(d, VH_MSG_SET_VRING_ERR, 5);
	for (unsigned width = 1; width <= 4; width *= 2) {
		guest_ring(d, VH_VVU_DOORBELL_CALL(5), width);
		assert_true(signal_came(call));
		assert_false(signal_came(err));
		guest_ring(d, VH_VVU_DOORBELL_ERR(N, 5), width);
		assert_true(signal_came(err));
		assert_false(signal_came(call));
	}
	assert_int_equal(guest_read(d, 2, 20, 4), 0);
	close(call);
	close(err);
}

static void a_doorbell_without_anybody_does_nothing(void **state)
{
	struct dev *d = *state;
	int call;

	dev_open(d, &plain);
	dev_session(d, 0);
	call = front_wire(d, VH_MSG_SET_VRING_CALL, 0);
	guest_ring(d, VH_VVU_DOORBELL_CALL(1), 2);
	guest_ring(d, VH_VVU_DOORBELL_LOG(N), 2);
	guest_write(d, 2, 0xffe, 2, 1);
	assert_false(signal_came(call));
	front_unwire(d, VH_MSG_SET_VRING_CALL, 0);
	guest_ring(d, VH_VVU_DOORBELL_CALL(0), 2);
	assert_false(signal_came(call));
	close(call);
}

static void doorbells_of_the_first_drivers_are_closer(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {.profile = VH_VVU_BAR2};
	int call;

	dev_open(d, &o);
	dev_session(d, 0);
	call = front_wire(d, VH_MSG_SET_VRING_CALL, 255);
	guest_write(d, 2, 255 * 2, 2, 0);
	assert_true(signal_came(call));
	close(call);
}

/* That of doorbell @n. */
static int bell_fd(const struct vfu_io_fd *io, unsigned n_io, unsigned n)
{
	for (unsigned i = 0; i < n_io; i++)
		if (io[i].offset == 4 * (uint64_t)n)
			return io[i].fd;
	return -1;
}

static void an_eventfd_in_place_of_a_doorbell_rings_it(void **state)
{
	struct dev *d = *state;
	struct vfu_client *c;
	struct vfu_io_fd io[16];
	unsigned n;
	int call, err;

	dev_open(d, &plain);
	dev_session(d, 0);
	c = vfu_test_bus_client(d->host);
	assert_int_equal(vfu_get_io_fds(c, 2, io, 16, &n), 0);
	assert_true(bell_fd(io, n, VH_VVU_DOORBELL_LOG(N)) >= 0);
	call = front_wire(d, VH_MSG_SET_VRING_CALL, 3);
	eventfd_write(bell_fd(io, n, VH_VVU_DOORBELL_CALL(3)), 1);
	signal_wait(call);
	err = front_wire(d, VH_MSG_SET_VRING_ERR, 3);
	eventfd_write(bell_fd(io, n, VH_VVU_DOORBELL_ERR(N, 3)), 1);
	signal_wait(err);
	close(call);
	close(err);
	for (unsigned i = 0; i < n; i++)
		close(io[i].fd);
}

static void write_counter(struct dev *d, unsigned n, uint32_t value)
{
	guest_write(d, 2, VH_VVU_DOORBELL_COUNTER(n), 4, value);
}

static void a_counter_that_changes_is_a_doorbell(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {.poll_doorbells = true};
	int call;

	dev_open(d, &o);
	write_counter(d, 2, 7); /* from before: means nothing */
	dev_session(d, VH_BIT(VH_VVU_F_DOORBELL_POLL));
	call = front_wire(d, VH_MSG_SET_VRING_CALL, 2);
	assert_false(signal_came(call));
	write_counter(d, 2, 8);
	signal_wait(call);
	guest_ring(d, VH_VVU_DOORBELL_CALL(2), 2); /* a register all the same */
	assert_true(signal_came(call));
	close(call);
}

static void counters_are_for_drivers_that_took_them(void **state)
{
	struct dev *d = *state;
	const struct dev_options o = {.poll_doorbells = true};
	int call;

	dev_open(d, &o);
	dev_session(d, 0);
	call = front_wire(d, VH_MSG_SET_VRING_CALL, 2);
	write_counter(d, 2, 8);
	assert_true(signal_stays_away(call)); /* longer than the 1 ms of who would look */
	guest_ring(d, VH_VVU_DOORBELL_CALL(2), 2);
	assert_true(signal_came(call));
	close(call);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEV_TEST(capabilities_tell_where_everything_is),
		DEV_TEST(the_layout_of_the_first_drivers_is_in_bar_2),
		DEV_TEST(the_layout_of_crosvm_has_its_identity),
		DEV_TEST(configuration_tells_vrings_and_uuid),
		DEV_TEST(without_an_area_there_is_no_feature_for_it),
		DEV_TEST(a_driver_that_is_first_hears_of_the_front_end),
		DEV_TEST(a_front_end_that_is_first_waits_for_the_driver),
		DEV_TEST(a_driver_may_be_ready_before_driver_ok),
		DEV_TEST(buffers_from_before_driver_ok_are_used),
		DEV_TEST(features_pass_but_for_what_cannot),
		DEV_TEST(a_front_end_that_closes_ends_its_session),
		DEV_TEST(the_next_session_begins_with_its_first_message),
		DEV_TEST(a_driver_that_is_no_longer_ready_ends_the_session),
		DEV_TEST(what_the_driver_writes_to_frontend_up_is_ignored),
		DEV_TEST(accepted_when_ready_nobody_is_accepted_before),
		DEV_TEST(crosvm_is_told_by_an_empty_buffer),
		DEV_TEST(an_empty_buffer_waits_for_a_buffer),
		DEV_TEST(a_kick_fires_the_vector_of_its_vring),
		DEV_TEST(a_kick_that_is_replaced_fires_no_more),
		DEV_TEST(a_vector_outlives_its_session_but_no_reset),
		DEV_TEST(vectors_and_vrings_that_do_not_exist_are_none),
		DEV_TEST(a_doorbell_of_any_width_rings),
		DEV_TEST(a_doorbell_without_anybody_does_nothing),
		DEV_TEST(doorbells_of_the_first_drivers_are_closer),
		DEV_TEST(an_eventfd_in_place_of_a_doorbell_rings_it),
		DEV_TEST(a_counter_that_changes_is_a_doorbell),
		DEV_TEST(counters_are_for_drivers_that_took_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
