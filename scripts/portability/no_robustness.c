// A Vulkan layer that turns robust buffer access off. wgpu asks drivers for it, and then an access out of bounds does no
// harm that the validation layer could report; without it, every such access is reported. Nothing in the program changes.
//
// build: gcc -shared -fPIC -O1 -o libno_robustness.so no_robustness.c    (headers: libvulkan-dev)

#include <string.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

static PFN_vkGetInstanceProcAddr next_instance_address;
static PFN_vkGetDeviceProcAddr next_device_address;
static VkInstance instance;

// The link to the next layer is somewhere in the chain of structs that the loader hands down.
#define FIND_LINK(Type, KIND)                                                                                          \
    Type *link = (void *)info->pNext;                                                                                  \
    while (link && !(link->sType == VK_STRUCTURE_TYPE_LOADER_##KIND##_CREATE_INFO && link->function == VK_LAYER_LINK_INFO)) \
        link = (void *)link->pNext;                                                                                    \
    if (!link) return VK_ERROR_INITIALIZATION_FAILED;

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *allocator,
                                                      VkInstance *out) {
    FIND_LINK(VkLayerInstanceCreateInfo, INSTANCE)
    next_instance_address = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    VkResult result = ((PFN_vkCreateInstance)next_instance_address(0, "vkCreateInstance"))(info, allocator, out);
    if (!result) instance = *out;
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                    const VkAllocationCallbacks *allocator, VkDevice *out) {
    FIND_LINK(VkLayerDeviceCreateInfo, DEVICE)
    PFN_vkGetInstanceProcAddr next = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    next_device_address = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;

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
    return ((PFN_vkCreateDevice)next(instance, "vkCreateDevice"))(physical, &changed, allocator, out);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL no_robustness_device(VkDevice device, const char *name) {
    if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)no_robustness_device;
    return next_device_address ? next_device_address(device, name) : 0;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL no_robustness_instance(VkInstance of, const char *name) {
    if (!strcmp(name, "vkCreateInstance")) return (PFN_vkVoidFunction)create_instance;
    if (!strcmp(name, "vkCreateDevice")) return (PFN_vkVoidFunction)create_device;
    if (!strcmp(name, "vkGetInstanceProcAddr")) return (PFN_vkVoidFunction)no_robustness_instance;
    if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)no_robustness_device;
    return next_instance_address ? next_instance_address(of, name) : 0;
}

VKAPI_ATTR VkResult VKAPI_CALL no_robustness_negotiate(VkNegotiateLayerInterface *version) {
    if (version->loaderLayerInterfaceVersion > 2) version->loaderLayerInterfaceVersion = 2;
    version->pfnGetInstanceProcAddr = no_robustness_instance;
    version->pfnGetDeviceProcAddr = no_robustness_device;
    version->pfnGetPhysicalDeviceProcAddr = 0;
    return VK_SUCCESS;
}
