#define _GNU_SOURCE
#include "vfio.h"
#include "devices.h"

#include <errno.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/ioctl.h>

static int64_t result_of(int64_t result) { return result < 0 ? -errno : result; }

int64_t hf_vfio_check(int container) {
  int version = ioctl(container, VFIO_GET_API_VERSION);
  if (version < 0) return -errno;
  if (version != VFIO_API_VERSION) return -EPROTONOSUPPORT;
  return result_of(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU));
}

int64_t hf_vfio_group_is_viable(int group) {
  struct vfio_group_status status = {.argsz = sizeof status};
  if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) < 0) return -errno;
  return (status.flags & VFIO_GROUP_FLAGS_VIABLE) != 0;
}

int64_t hf_vfio_attach_group(int group, int container) {
  return result_of(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
}

int64_t hf_vfio_detach_group(int group) { return result_of(ioctl(group, VFIO_GROUP_UNSET_CONTAINER)); }

int64_t hf_vfio_choose_iommu(int container) {
  return result_of(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
}

int64_t hf_vfio_open_device(int group, const char *name) {
  return result_of(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name));
}

int64_t hf_vfio_map(int container, uint64_t iova, uint64_t address, uint64_t size, bool read, bool write) {
  struct vfio_iommu_type1_dma_map map = {
      .argsz = sizeof map,
      .flags = (read ? VFIO_DMA_MAP_FLAG_READ : 0) | (write ? VFIO_DMA_MAP_FLAG_WRITE : 0),
      .vaddr = address,
      .iova = iova,
      .size = size,
  };
  hf_call_begins();
  int64_t result = result_of(ioctl(container, VFIO_IOMMU_MAP_DMA, &map));
  hf_call_ends();
  return result;
}

static int64_t unmap(int container, struct vfio_iommu_type1_dma_unmap *request, uint64_t *unmapped) {
  request->argsz = sizeof *request;
  if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, request) < 0) return -errno;
  *unmapped = request->size;
  return 0;
}

int64_t hf_vfio_unmap(int container, uint64_t iova, uint64_t size, uint64_t *unmapped) {
  struct vfio_iommu_type1_dma_unmap request = {.iova = iova, .size = size};
  return unmap(container, &request, unmapped);
}

int64_t hf_vfio_unmap_all(int container, uint64_t *unmapped) {
  struct vfio_iommu_type1_dma_unmap request = {.flags = VFIO_DMA_UNMAP_FLAG_ALL};
  return unmap(container, &request, unmapped);
}

static int64_t region(int device, uint32_t index, uint64_t *offset) {
  struct vfio_region_info information = {.argsz = sizeof information, .index = index};
  if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &information) < 0) return -errno;
  if (information.size == 0) return -ENODEV;
  *offset = information.offset;
  return 0;
}

int64_t hf_vfio_registers(int device, uint64_t *offset) {
  return region(device, VFIO_PCI_BAR0_REGION_INDEX, offset);
}

int64_t hf_vfio_configuration(int device, uint64_t *offset) {
  return region(device, VFIO_PCI_CONFIG_REGION_INDEX, offset);
}
