/* VFIO, with the layouts of linux/vfio.h. Every function returns a value that is not negative, or -errno. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Whether a container speaks the version of the interface that we do, and has type 1 version 2. */
int64_t hf_vfio_check(int container);
int64_t hf_vfio_group_is_viable(int group);
int64_t hf_vfio_attach_group(int group, int container);
int64_t hf_vfio_detach_group(int group);
/* Gives an attached container its IOMMU: type 1 version 2. */
int64_t hf_vfio_choose_iommu(int container);
/* The descriptor of a device in a group, by its PCI address. */
int64_t hf_vfio_open_device(int group, const char *name);
int64_t hf_vfio_map(int container, uint64_t iova, uint64_t address, uint64_t size, bool read, bool write);
/* Sets how many bytes were unmapped. */
int64_t hf_vfio_unmap(int container, uint64_t iova, uint64_t size, uint64_t *unmapped);
int64_t hf_vfio_unmap_all(int container, uint64_t *unmapped);
/* Where in the device's descriptor the registers of BAR 0, or the configuration space, start. */
int64_t hf_vfio_registers(int device, uint64_t *offset);
int64_t hf_vfio_configuration(int device, uint64_t *offset);
