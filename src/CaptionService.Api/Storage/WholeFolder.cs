namespace CaptionService.Api.Storage;

/// <summary>Takes away folders that others may be taking away too: what is gone already is no failure.</summary>
internal static class WholeFolder
{
    /// <summary>Moves a folder in one step, where it is still there.</summary>
    public static void Move(string from, string to)
    {
        try
        {
            Directory.Move(from, to);
        }
        catch (DirectoryNotFoundException)
        {
            // Another request takes it away.
        }
    }

    /// <summary>Removes a folder and all in it, where it is there.</summary>
    public static void Remove(string folder)
    {
        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // Moved as a whole, or never made.
        }
    }
}
