#!/bin/bash
#
# DevStack plug-in: nova with the driver, the filter and the weigher of
# cache-aware-sched. In local.conf:
#
#   enable_plugin cache-aware-sched <the address of this repository>

CACHE_AWARE_SCHED_FILTER=cache_aware_sched.scheduler.filters.ImageAntiAffinityFilter
CACHE_AWARE_SCHED_WEIGHER=cache_aware_sched.scheduler.weights.ImageCacheWeigher

# cache_aware_sched_append() - Add an item at the end of a list with commas
# cache_aware_sched_append list item
function cache_aware_sched_append {
    local list=$1
    local item=$2
    case ",$list," in
        *",$item,"*) echo "$list" ;;
        ,,) echo "$item" ;;
        *) echo "$list,$item" ;;
    esac
}

# install_cache_aware_sched() - Install the package beside nova
#
# DevStack has installed nova as an editable package, which Python finds
# through a hook of setuptools. The directory nova/ of this repository would
# hide it, so nova is installed again with its directory on the path. This
# package has to be editable itself, and through the hook.
function install_cache_aware_sched {
    pip_install --config-settings editable_mode=compat -e "$NOVA_DIR"
    setup_develop "$CACHE_AWARE_SCHED_DIR"
}

# configure_cache_aware_sched_compute() - Take the driver for the one of nova
#
# DevStack makes the file of nova-compute from this one when it starts it.
function configure_cache_aware_sched_compute {
    case $VIRT_DRIVER in
        libvirt) iniset "$NOVA_CONF" DEFAULT compute_driver cache_aware.LibvirtDriver ;;
        fake) iniset "$NOVA_CONF" DEFAULT compute_driver cache_aware.FakeDriver ;;
        *) echo "cache-aware-sched has no driver for VIRT_DRIVER=$VIRT_DRIVER: nova's own stays" ;;
    esac
    iniset "$NOVA_CONF" cache_aware_sched image_cache_manager "$CACHE_AWARE_SCHED_MANAGER"
}

# configure_cache_aware_sched_scheduler() - Add the filter and the weigher
#
# Whatever other plug-ins have added stays; both have to be the last.
function configure_cache_aware_sched_scheduler {
    local available enabled weighers
    available=$(iniget_multiline "$NOVA_CONF" filter_scheduler available_filters)
    if [[ -z "$available" ]]; then
        iniadd "$NOVA_CONF" filter_scheduler available_filters nova.scheduler.filters.all_filters
    fi
    if [[ " $available " != *" $CACHE_AWARE_SCHED_FILTER "* ]]; then
        iniadd "$NOVA_CONF" filter_scheduler available_filters "$CACHE_AWARE_SCHED_FILTER"
    fi
    enabled=$(iniget "$NOVA_CONF" filter_scheduler enabled_filters)
    iniset "$NOVA_CONF" filter_scheduler enabled_filters \
        "$(cache_aware_sched_append "${enabled:-$NOVA_FILTERS}" ImageAntiAffinityFilter)"
    weighers=$(iniget "$NOVA_CONF" filter_scheduler weight_classes)
    iniset "$NOVA_CONF" filter_scheduler weight_classes \
        "$(cache_aware_sched_append "${weighers:-nova.scheduler.weights.all_weighers}" "$CACHE_AWARE_SCHED_WEIGHER")"
    iniset "$NOVA_CONF" cache_aware_sched image_cache_weigher_mode "$CACHE_AWARE_SCHED_WEIGHER_MODE"
    iniset "$NOVA_CONF" cache_aware_sched image_cache_weight_multiplier "$CACHE_AWARE_SCHED_MULTIPLIER"
}

# configure_cache_aware_sched_cap() - Set the cap, for filter and late check
function configure_cache_aware_sched_cap {
    iniset "$NOVA_CONF" cache_aware_sched max_same_image_instances_per_host "$CACHE_AWARE_SCHED_CAP"
    iniset "$NOVA_CONF" cache_aware_sched same_image_cap_policy "$CACHE_AWARE_SCHED_CAP_POLICY"
}

# configure_cache_aware_sched() - Configure the services of this host
function configure_cache_aware_sched {
    if is_service_enabled n-cpu; then
        configure_cache_aware_sched_compute
    fi
    if is_service_enabled n-sch; then
        configure_cache_aware_sched_scheduler
    fi
    if is_service_enabled n-cpu n-sch; then
        configure_cache_aware_sched_cap
    fi
}

if is_service_enabled n-cpu n-sch n-api; then
    if [[ "$1" == "stack" && "$2" == "install" ]]; then
        echo_summary "Installing cache-aware-sched"
        install_cache_aware_sched
    elif [[ "$1" == "stack" && "$2" == "post-config" ]]; then
        echo_summary "Configuring cache-aware-sched"
        configure_cache_aware_sched
    fi
fi
