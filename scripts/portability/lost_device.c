// A Vulkan layer that loses a device: the wait of number OCELLUS_LOSE_AT (from 1) of the process says VK_ERROR_DEVICE_LOST,
// and so does every wait for that device from then on. A device that is opened later works. Says on stderr which device it
// was: the first that was opened, or one of those that compile for it.

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "layer.h"

static VkDevice first, lost;
static atomic_int waits;

static int is_lost(VkDevice device) {
    const char *at = getenv("OCELLUS_LOSE_AT");
    if (atomic_fetch_add(&waits, 1) + 1 == (at ? atoi(at) : 0)) {
        lost = device;
        fprintf(stderr, "lost the %s device\n", device == first ? "first" : "other");
        // With the instance that is opened next, this layer is loaded anew and would count again.
        unsetenv("OCELLUS_LOSE_AT");
    }
    return device == lost;
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_semaphores(VkDevice device, const VkSemaphoreWaitInfo *info, uint64_t timeout) {
    if (is_lost(device)) return VK_ERROR_DEVICE_LOST;
    PFN_vkWaitSemaphores next = (PFN_vkWaitSemaphores)next_device_address(device, "vkWaitSemaphores");
    if (!next) next = (PFN_vkWaitSemaphores)next_device_address(device, "vkWaitSemaphoresKHR");
    return next(device, info, timeout);
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_fences(VkDevice device, uint32_t count, const VkFence *fences, VkBool32 all,
                                                  uint64_t timeout) {
    if (is_lost(device)) return VK_ERROR_DEVICE_LOST;
    return ((PFN_vkWaitForFences)next_device_address(device, "vkWaitForFences"))(device, count, fences, all, timeout);
}

static VkResult open_device(PFN_vkCreateDevice next, VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                            const VkAllocationCallbacks *allocator, VkDevice *out) {
    VkResult result = next(physical, info, allocator, out);
    if (result) return result;
    if (!first) first = *out;
    // A new device may have the address of the lost one.
    if (*out == lost) lost = 0;
    return result;
}

static PFN_vkVoidFunction replacement(const char *name) {
    if (!strcmp(name, "vkWaitSemaphores") || !strcmp(name, "vkWaitSemaphoresKHR")) return (PFN_vkVoidFunction)wait_semaphores;
    if (!strcmp(name, "vkWaitForFences")) return (PFN_vkVoidFunction)wait_fences;
    return 0;
}
