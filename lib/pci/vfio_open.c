/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From an address to open files of vfio: the function's group, a container with an
 * IOMMU, the device.  Most of what can go wrong is how the machine is set up, so each
 * error says what to type.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "pci/vfio_private.h"

#define DEVICES "/sys/bus/pci/devices"

/* ---- What sysfs says ---- */

/* The last part of what link @name of @address points to; false: there is none. */
static bool read_link(const char *address, const char *name, char *end, size_t size)
{
	char path[80], target[256];
	const char *slash;
	ssize_t n;

	snprintf(path, sizeof(path), DEVICES "/%.16s/%s", address, name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(end, size, "%.15s", slash ? slash + 1 : target);
	return true;
}

static int no_iommu(const struct vh_vfio *v)
{
	vh_log(&v->h, VH_LOG_ERROR,
	       "%s is behind no IOMMU.  Give the guest one (QEMU: -device "
	       "intel-iommu,intremap=on,caching-mode=on, kernel: intel_iommu=on), or, "
	       "without protection: modprobe vfio enable_unsafe_noiommu_mode=1",
	       v->address);
	return -ENODEV;
}

/* Can vfio-pci have it?  Else to say how it is bound would lead nowhere. */
static bool is_for_vfio(const char *address)
{
	VH_AUTO_FD int fd = open("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
				 O_RDONLY | O_CLOEXEC);
	char group[16], c = 'N';

	return read_link(address, "iommu_group", group, sizeof(group)) ||
	       (fd >= 0 && read(fd, &c, 1) == 1 && c == 'Y');
}

static int check_driver(const struct vh_vfio *v)
{
	const char *a = v->address;
	char driver[16] = "", path[64], unbind[96] = "";

	snprintf(path, sizeof(path), DEVICES "/%s", a);
	if (access(path, F_OK) < 0) {
		vh_log(&v->h, VH_LOG_ERROR,
		       "there is no PCI function %s (lspci -D shows those that there "
		       "are)",
		       a);
		return -ENODEV;
	}
	if (read_link(a, "driver", driver, sizeof(driver)) && !strcmp(driver, "vfio-pci"))
		return 0;
	if (!is_for_vfio(a))
		return no_iommu(v);
	if (driver[0])
		snprintf(unbind, sizeof(unbind),
			 "echo %s > /sys/bus/pci/drivers/%s/unbind; ", a, driver);
	vh_log(&v->h, VH_LOG_ERROR,
	       "%s belongs to %s, not to vfio-pci.  As root: modprobe vfio-pci; echo "
	       "vfio-pci > " DEVICES "/%s/driver_override; %secho %s > "
	       "/sys/bus/pci/drivers_probe",
	       a, driver[0] ? driver : "no driver", a, unbind, a);
	return -EBUSY;
}

static bool has_id(const char *address, const char *name, unsigned id)
{
	char path[80];
	unsigned value = ~0u;
	FILE *f;

	snprintf(path, sizeof(path), DEVICES "/%.16s/%s", address, name);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fscanf(f, "%x", &value) != 1)
		value = ~0u;
	fclose(f);
	return value == id;
}

int vh_vfio_find(uint16_t vendor, uint16_t device, unsigned n,
		 char address[VH_PCI_ADDRESS_SIZE])
{
	struct dirent **entry;
	const int count = scandir(DEVICES, &entry, NULL, alphasort);
	char driver[16];
	int found = -ENOENT;

	for (int i = 0; i < count; i++) {
		const char *name = entry[i]->d_name;

		if (found && has_id(name, "vendor", vendor) &&
		    has_id(name, "device", device) &&
		    read_link(name, "driver", driver, sizeof(driver)) &&
		    !strcmp(driver, "vfio-pci") && n-- == 0) {
			snprintf(address, VH_PCI_ADDRESS_SIZE, "%.15s", name);
			found = 0;
		}
		free(entry[i]);
	}
	if (count >= 0)
		free(entry);
	return found;
}

/* ---- Files ---- */

static int no_group_file(const struct vh_vfio *v, const char *path, int err)
{
	if (err == -EACCES || err == -EPERM)
		vh_log(&v->h, VH_LOG_ERROR,
		       "%s: %s may not open %s.  As root: chown USER %s", v->address,
		       "this user", path, path);
	else if (err == -EBUSY)
		vh_log(&v->h, VH_LOG_ERROR, "%s: another process has %s open", v->address,
		       path);
	else
		vh_log(&v->h, VH_LOG_ERROR, "%s: cannot open %s: %s (modprobe vfio-pci?)",
		       v->address, path, vh_strerror(err));
	return err;
}

static int open_group(struct vh_vfio *v)
{
	char number[16], path[48];

	if (!read_link(v->address, "iommu_group", number, sizeof(number)))
		return no_iommu(v);
	snprintf(path, sizeof(path), "/dev/vfio/%s", number);
	v->group = open(path, O_RDWR | O_CLOEXEC);
	if (v->group < 0 && errno == ENOENT) {
		snprintf(path, sizeof(path), "/dev/vfio/noiommu-%s", number);
		v->group = open(path, O_RDWR | O_CLOEXEC);
		v->no_iommu = v->group >= 0;
	}
	return v->group < 0 ? no_group_file(v, path, -errno) : 0;
}

static int check_group(const struct vh_vfio *v)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};

	if (ioctl(v->group, VFIO_GROUP_GET_STATUS, &status) < 0)
		return vh_vfio_failed(v, "ask for the state of its group", -errno);
	if (status.flags & VFIO_GROUP_FLAGS_VIABLE)
		return 0;
	vh_log(&v->h, VH_LOG_ERROR,
	       "another function of %s's group has a driver of the kernel: bind all of "
	       "them to vfio-pci (ls " DEVICES "/%s/iommu_group/devices)",
	       v->address, v->address);
	return -EBUSY;
}

static int open_container(struct vh_vfio *v)
{
	v->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (v->container < 0)
		return no_group_file(v, "/dev/vfio/vfio", -errno);
	if (ioctl(v->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION)
		return vh_vfio_failed(v, "talk to this kernel's vfio", -ENOTSUP);
	return 0;
}

static int set_iommu(struct vh_vfio *v)
{
	const long kind =
		v->no_iommu ? VFIO_NOIOMMU_IOMMU
		: ioctl(v->container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) > 0
			? VFIO_TYPE1v2_IOMMU
			: VFIO_TYPE1_IOMMU;

	if (ioctl(v->group, VFIO_GROUP_SET_CONTAINER, &v->container) < 0)
		return vh_vfio_failed(v, "put its group into a container", -errno);
	if (ioctl(v->container, VFIO_SET_IOMMU, kind) < 0)
		return vh_vfio_failed(v, "use the IOMMU", -errno);
	if (v->no_iommu)
		vh_log(&v->h, VH_LOG_WARN,
		       "%s is behind no IOMMU: it can read and write all memory of this "
		       "machine",
		       v->address);
	else
		vh_vfio_read_ranges(v);
	return 0;
}

static int open_device(struct vh_vfio *v)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};

	v->device = ioctl(v->group, VFIO_GROUP_GET_DEVICE_FD, v->address);
	if (v->device < 0)
		return vh_vfio_failed(v, "open the device", -errno);
	if (ioctl(v->device, VFIO_DEVICE_GET_INFO, &info) < 0)
		return vh_vfio_failed(v, "ask what the device has", -errno);
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) || info.num_regions < VH_VFIO_REGIONS)
		return vh_vfio_failed(v, "take it for a PCI function", -EINVAL);
	v->can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	return 0;
}

int vh_vfio_open_files(struct vh_vfio *v)
{
	int err = check_driver(v);

	if (!err)
		err = open_group(v);
	if (!err)
		err = check_group(v);
	if (!err)
		err = open_container(v);
	if (!err)
		err = set_iommu(v);
	if (!err)
		err = open_device(v);
	return err;
}
