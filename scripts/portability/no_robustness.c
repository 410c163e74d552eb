// A Vulkan layer that turns robust buffer access off. wgpu asks drivers for it, and then an access out of bounds does no
// harm that the validation layer could report; without it, every such access is reported. Nothing in the program changes.

#include "layer.h"

static VkResult open_device(PFN_vkCreateDevice next, VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                            const VkAllocationCallbacks *allocator, VkDevice *out) {
    VkDeviceCreateInfo changed = *info;
    VkPhysicalDeviceFeatures features;
    if (changed.pEnabledFeatures) {
        features = *changed.pEnabledFeatures;
        features.robustBufferAccess = 0;
        changed.pEnabledFeatures = &features;
    }
    // These structs are the caller's own, filled for this call.
    for (VkBaseOutStructure *each = (void *)changed.pNext; each; each = each->pNext) {
        if (each->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2)
            ((VkPhysicalDeviceFeatures2 *)each)->features.robustBufferAccess = 0;
        if (each->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ROBUSTNESS_2_FEATURES_EXT) {
            VkPhysicalDeviceRobustness2FeaturesEXT *robustness = (void *)each;
            robustness->robustBufferAccess2 = robustness->robustImageAccess2 = 0;
        }
    }
    return next(physical, &changed, allocator, out);
}

static PFN_vkVoidFunction replacement(const char *name) { return 0; }
