// What every Vulkan layer is made of. A file that includes this defines `open_device` and `replacement`.

#include <string.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

static PFN_vkGetInstanceProcAddr next_instance_address;
static PFN_vkGetDeviceProcAddr next_device_address;
static VkInstance instance;

// Opens a device by the next layer's function.
static VkResult open_device(PFN_vkCreateDevice next, VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                            const VkAllocationCallbacks *allocator, VkDevice *out);
// The layer's own function for a device's call of this name, or 0.
static PFN_vkVoidFunction replacement(const char *name);

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
    return open_device((PFN_vkCreateDevice)next(instance, "vkCreateDevice"), physical, info, allocator, out);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL layer_device(VkDevice device, const char *name) {
    if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)layer_device;
    PFN_vkVoidFunction next = next_device_address ? next_device_address(device, name) : 0;
    PFN_vkVoidFunction own = replacement(name);
    return next && own ? own : next;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL layer_instance(VkInstance of, const char *name) {
    if (!strcmp(name, "vkCreateInstance")) return (PFN_vkVoidFunction)create_instance;
    if (!strcmp(name, "vkCreateDevice")) return (PFN_vkVoidFunction)create_device;
    if (!strcmp(name, "vkGetInstanceProcAddr")) return (PFN_vkVoidFunction)layer_instance;
    if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)layer_device;
    return next_instance_address ? next_instance_address(of, name) : 0;
}

VKAPI_ATTR VkResult VKAPI_CALL layer_negotiate(VkNegotiateLayerInterface *version) {
    if (version->loaderLayerInterfaceVersion > 2) version->loaderLayerInterfaceVersion = 2;
    version->pfnGetInstanceProcAddr = layer_instance;
    version->pfnGetDeviceProcAddr = layer_device;
    version->pfnGetPhysicalDeviceProcAddr = 0;
    return VK_SUCCESS;
}
