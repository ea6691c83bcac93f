//! A descriptor or a box in one word. Nearly all of ten thousand connections are a bare descriptor: an enum of both would take
//! 16 bytes of each, for a tag and for the pointer that is not there.

use super::Fd;
use alloc::boxed::Box;
use core::marker::PhantomData;
use core::mem::{align_of, ManuallyDrop};
use core::ptr::NonNull;

/// Owns either of both. Without `BOXES` it is a descriptor always, so that what would be done with a box is left out when
/// libws is compiled.
pub struct FdOr<T, const BOXES: bool> {
    /// The pointer of the box, whose lowest bit is 0; or the descriptor above a lowest bit of 1.
    word: NonNull<T>,
    owned: PhantomData<Box<T>>,
}

// SAFETY: what it owns is a number or a Box<T>.
unsafe impl<T: Send, const BOXES: bool> Send for FdOr<T, BOXES> {}

/// Which of both it is.
pub enum Which<B> {
    /// Borrowed, in spite of its type: it is never dropped.
    Fd(ManuallyDrop<Fd>),
    Boxed(B),
}

impl<T, const BOXES: bool> FdOr<T, BOXES> {
    const LOWEST_BIT_IS_FREE: () = assert!(align_of::<T>() > 1);

    pub fn fd(fd: Fd) -> FdOr<T, BOXES> {
        let () = Self::LOWEST_BIT_IS_FREE;
        let number = ManuallyDrop::new(fd).raw() as isize;
        let word = core::ptr::without_provenance_mut((number << 1 | 1) as usize);
        // SAFETY: its lowest bit is 1.
        let word = unsafe { NonNull::new_unchecked(word) };
        FdOr {
            word,
            owned: PhantomData,
        }
    }

    /// None without `BOXES`.
    pub fn boxed(value: Box<T>) -> Option<FdOr<T, BOXES>> {
        let () = Self::LOWEST_BIT_IS_FREE;
        BOXES.then(|| FdOr {
            word: NonNull::from(Box::leak(value)),
            owned: PhantomData,
        })
    }

    #[inline(always)]
    pub fn which(&self) -> Which<&T> {
        match self.number() {
            Some(fd) => Which::Fd(fd),
            // SAFETY: a pointer from Box::leak, which nobody else has.
            None => Which::Boxed(unsafe { self.word.as_ref() }),
        }
    }

    #[inline(always)]
    pub fn which_mut(&mut self) -> Which<&mut T> {
        match self.number() {
            Some(fd) => Which::Fd(fd),
            // SAFETY: as above, and we are borrowed for as long as the value is.
            None => Which::Boxed(unsafe { self.word.as_mut() }),
        }
    }

    /// The descriptor, to be put elsewhere; nothing is left in its place. None if it is a box.
    pub fn take_fd(&mut self) -> Option<Fd> {
        let fd = self.number()?;
        core::mem::forget(core::mem::replace(self, FdOr::fd(Fd::none())));
        Some(ManuallyDrop::into_inner(fd))
    }

    #[inline(always)]
    fn number(&self) -> Option<ManuallyDrop<Fd>> {
        let word = self.word.as_ptr().addr() as isize;
        (!BOXES || word & 1 == 1).then(|| ManuallyDrop::new(Fd::owning((word >> 1) as i32)))
    }
}

impl<T, const BOXES: bool> Drop for FdOr<T, BOXES> {
    fn drop(&mut self) {
        match self.number() {
            Some(fd) => drop(ManuallyDrop::into_inner(fd)),
            // SAFETY: a pointer from Box::leak, used for the last time.
            None => drop(unsafe { Box::from_raw(self.word.as_ptr()) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::rc::Rc;

    #[test]
    fn holds_either_and_frees_it() {
        let told = Rc::new(());
        let boxed = FdOr::<_, true>::boxed(Box::new(told.clone())).expect("boxes");
        let mut both = [boxed, FdOr::fd(Fd::none())];
        assert!(both[0].take_fd().is_none());
        assert!(matches!(both[0].which(), Which::Boxed(inner) if Rc::ptr_eq(inner, &told)));
        for number in [0, 1, 77, i32::MAX >> 1] {
            drop(core::mem::replace(&mut both[1], FdOr::fd(Fd::none())));
            core::mem::forget(core::mem::replace(
                &mut both[1],
                FdOr::fd(Fd::owning(number)),
            ));
            assert!(matches!(both[1].which_mut(), Which::Fd(fd) if fd.raw() == number));
            let fd = both[1].take_fd().expect("a descriptor");
            assert_eq!(fd.raw(), number);
            // It is not ours.
            core::mem::forget(fd);
            assert_eq!(both[1].take_fd(), Some(Fd::none()));
        }
        assert_eq!(Rc::strong_count(&told), 2);
        drop(both);
        assert_eq!(Rc::strong_count(&told), 1);
        assert_eq!(size_of::<FdOr<u64, true>>(), size_of::<usize>());
        assert_eq!(size_of::<Option<FdOr<u64, true>>>(), size_of::<usize>());
    }
}
